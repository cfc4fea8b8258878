package peers

import (
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// lab is one server, own, with others in its store.
type lab struct {
	t     *testing.T
	store *store.Store
	roots *x509.CertPool
}

func (l *lab) peers() *Peers {
	return New(Config{
		Store: l.store, Name: "own", Address: "192.0.2.1:1", URL: "https://example.com", Roots: l.roots,
		Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
	})
}

func (l *lab) other(name, address string, seen time.Time) {
	l.t.Helper()
	if _, err := l.store.Put(l.t.Context(), &model.Server{Name: name, Address: address, Seen: seen}, store.Any); err != nil {
		l.t.Fatal(err)
	}
}

// serve is another server, with a certificate for example.com that we trust, or not.
func (l *lab) serve(name string, trusted bool, answer http.HandlerFunc) {
	l.t.Helper()
	s := httptest.NewUnstartedServer(answer)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	l.t.Cleanup(s.Close)
	if trusted {
		l.roots.AddCert(s.Certificate())
	}
	l.other(name, s.Listener.Addr().String(), noon)
}

func TestMergeSaysWhoIsMissing(t *testing.T) {
	l := &lab{t: t, store: storetest.New(t), roots: x509.NewCertPool()}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.other("closed", closed.Addr().String(), noon)
	closed.Close()
	l.other("gone", "192.0.2.9:1", noon.Add(-time.Hour))
	l.other("own", "192.0.2.1:1", noon)
	l.serve("good", true, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer the-token" || r.Header.Get(Header) == "" || r.Host != "example.com" ||
			r.URL.Path != "/providers/Lanyard.Trust/decisions" || r.URL.Query().Get("refused") != "true" {
			t.Errorf("asked %s of %s with %v", r.URL, r.Host, r.Header)
		}
		w.Write([]byte(`{"value":[{"id":"theirs","time":"2026-11-23T11:00:00Z","server":"forged"}],"servers":[{"name":"forged","partial":true}]}`))
	})
	l.serve("refuses", true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) })
	l.serve("elsewhere", true, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://example.com/x", http.StatusFound)
	})
	l.serve("endless", true, func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"value":[{"id":"`))
		for range 10 {
			w.Write([]byte(strings.Repeat("x", 1<<20)))
		}
	})

	own := audit.Answer{Value: []audit.Record{{ID: "ours", Time: noon}}, Servers: []audit.Asked{{Name: "own"}}}
	got, err := l.peers().Merge(t.Context(), own, audit.Query{Refused: true, Limit: 5}, "the-token")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Value) != 2 || got.Value[0].ID != "theirs" || got.Value[0].Server != "good" || got.Value[1].ID != "ours" {
		t.Errorf("records %+v", got.Value)
	}
	said := map[string]string{}
	for _, s := range got.Servers {
		said[s.Name] = s.Error
	}
	for name, want := range map[string]string{
		"own": "", "good": "", "closed": "cannot be reached", "refuses": "HTTP 403", "elsewhere": "HTTP 302", "endless": "cannot be read",
	} {
		if text, ok := said[name]; !ok || want == "" && text != "" || !strings.Contains(text, want) {
			t.Errorf("of %s it says %q, want %q", name, text, want)
		}
	}
	if len(said) != 6 {
		t.Errorf("asked %v", said)
	}
}

// Who has no certificate of ours does not hear the token.
func TestOnlyOurOwnHearTheToken(t *testing.T) {
	l := &lab{t: t, store: storetest.New(t), roots: x509.NewCertPool()}
	l.serve("stranger", false, func(http.ResponseWriter, *http.Request) { t.Error("a stranger was asked") })
	got, err := l.peers().Merge(t.Context(), audit.Answer{}, audit.Query{}, "the-token")
	if err != nil || len(got.Servers) != 1 || !strings.Contains(got.Servers[0].Error, "certificate") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEntriesAreKeptAndForgotten(t *testing.T) {
	l := &lab{t: t, store: storetest.New(t)}
	l.other("gone", "192.0.2.9:1", noon.Add(-2*time.Hour))
	p := l.peers()
	if err := p.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	view, err := l.store.View()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for e := range view.Prefix(model.ServersKey, "") {
		names = append(names, e.Value.(*model.Server).Name)
	}
	if len(names) != 1 || names[0] != "own" {
		t.Errorf("servers %v, want this one", names)
	}
}

func TestAdvertised(t *testing.T) {
	for _, tt := range []struct{ asked, listening, want string }{
		{"", "192.0.2.1:8443", "192.0.2.1:8443"}, {"10.0.0.7", "[::]:8443", "10.0.0.7:8443"}, {"fd00::7", "[::]:8443", "[fd00::7]:8443"},
		{"[fd00::7]", "[::]:8443", "[fd00::7]:8443"}, {"host:1", "[::]:8443", "host:1"}, {"", "lanyard.local:1", "lanyard.local:1"},
	} {
		if got := Advertised(tt.asked, tt.listening); got != tt.want {
			t.Errorf("Advertised(%q, %q) = %s, want %s", tt.asked, tt.listening, got, tt.want)
		}
	}
	if got := Advertised("", "[::]:8443"); !strings.HasSuffix(got, ":8443") || strings.HasPrefix(got, "[::]") {
		t.Errorf("on all addresses: %s", got)
	}
}
