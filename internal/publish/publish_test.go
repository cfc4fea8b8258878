package publish_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyard-io/lanyard/internal/publish"
	"github.com/lanyard-io/lanyard/internal/trust"
)

// newKey makes a P-256 key: quick, and as good as any for the rules.
func newKey(t testing.TB) publish.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := publish.NewKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// bench is a folder and a publisher with a clock of its own.
type bench struct {
	t      *testing.T
	dir    string
	place  publish.Place
	issuer string
	now    time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	place, err := publish.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { place.Close() })
	return &bench{t: t, dir: dir, place: place, issuer: "https://oidc.example.org/cluster-1/", now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
}

func (b *bench) publisher(withdraw ...string) *publish.Publisher {
	b.t.Helper()
	p, err := publish.New(publish.Config{Place: b.place, Issuer: b.issuer, Withdraw: withdraw, Now: func() time.Time { return b.now }})
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) publish(p *publish.Publisher, keys ...publish.Key) *publish.Plan {
	b.t.Helper()
	plan, err := p.Plan(b.t.Context(), publish.Set{Keys: keys})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := p.Apply(b.t.Context(), plan); err != nil {
		b.t.Fatal(err)
	}
	return plan
}

func (b *bench) file(name string) []byte {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// want checks which keys are published.
func (b *bench) want(keys ...publish.Key) {
	b.t.Helper()
	got, err := publish.ParseSet(b.file(publish.KeySet))
	if err != nil {
		b.t.Fatal(err)
	}
	if !slices.Equal(got.Keys, keys) {
		b.t.Errorf("published keys = %v, want %v", got.Keys, keys)
	}
}

func TestDocumentsAreThoseOfAnIssuer(t *testing.T) {
	b := newBench(t)
	k := newKey(t)
	plan := b.publish(b.publisher(), k)
	if want := []string{"openid/v1/lanyard.json", publish.KeySet, publish.Discovery}; !slices.Equal(plan.Writes, want) {
		t.Errorf("writes = %v, want %v", plan.Writes, want)
	}
	var d map[string]any
	if err := json.Unmarshal(b.file(publish.Discovery), &d); err != nil {
		t.Fatal(err)
	}
	if d["issuer"] != b.issuer || d["jwks_uri"] != "https://oidc.example.org/cluster-1/openid/v1/jwks" {
		t.Errorf("discovery = %v", d)
	}
	if n, err := trust.ParseKeys(b.file(publish.KeySet), 10); n != 1 || err != nil {
		t.Errorf("a verifier finds %d keys, %v", n, err)
	}
	info, err := os.Stat(filepath.Join(b.dir, publish.KeySet))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode = %v, %v; want one that a web server may read", info.Mode(), err)
	}
	if again := b.publish(b.publisher(), k); len(again.Writes) != 0 {
		t.Errorf("the second time writes %v, want nothing", again.Writes)
	}
}

func TestRotationWithoutAGap(t *testing.T) {
	b := newBench(t)
	old, fresh := newKey(t), newKey(t)
	p := b.publisher()
	b.publish(p, old)
	b.publish(p, fresh, old)
	b.want(fresh, old)

	b.publish(p, fresh)
	b.want(fresh, old)
	b.now = b.now.Add(publish.DefaultOverlap - time.Second)
	if plan := b.publish(p, fresh); plan.Keys[1].State != publish.Overlap || !plan.Keys[1].Until.Equal(b.now.Add(time.Second)) {
		t.Errorf("plan = %+v, want the old key's overlap to end in a second", plan.Keys[1])
	}
	b.want(fresh, old)
	b.now = b.now.Add(time.Second)
	b.publish(p, fresh)
	b.want(fresh)
}

func TestKeyThatComesBackIsCurrentAgain(t *testing.T) {
	b := newBench(t)
	first, second := newKey(t), newKey(t)
	p := b.publisher()
	b.publish(p, first, second)
	b.publish(p, second)
	b.now = b.now.Add(20 * time.Hour)
	b.publish(p, second, first)
	b.now = b.now.Add(20 * time.Hour)
	b.publish(p, second) // missed anew: the first time does not count
	b.want(second, first)
}

func TestWithdrawnKeyStaysAway(t *testing.T) {
	b := newBench(t)
	bad, good := newKey(t), newKey(t)
	b.publish(b.publisher(), bad, good)
	plan := b.publish(b.publisher(bad.ID), bad, good)
	b.want(good)
	if k := plan.Keys[0]; k.State != publish.Withdrawn || !k.AtSource {
		t.Errorf("plan = %+v, want it withdrawn while still at the source", k)
	}
	b.publish(b.publisher(), bad, good)
	b.want(good)
	b.publish(b.publisher(), good)
	b.publish(b.publisher(), good, bad)
	b.want(good)
}

func TestRefusals(t *testing.T) {
	k := newKey(t)
	tests := map[string]struct {
		prepare func(*bench)
		keys    []publish.Key
		revoke  string
		want    string
	}{
		"no-key-at-the-source": {want: "no key"},
		"last-key-withdrawn":   {keys: []publish.Key{k}, revoke: k.ID, want: "no key would be left"},
		"unknown-withdrawal":   {keys: []publish.Key{k}, revoke: "other", want: `no key "other"`},
		"another-issuers-place": {keys: []publish.Key{k}, want: "already belongs to issuer https://other.example", prepare: func(b *bench) {
			b.write(publish.Discovery, `{"issuer":"https://other.example"}`)
		}},
		"unreadable-memory": {keys: []publish.Key{k}, want: "forget withdrawals", prepare: func(b *bench) { b.write("openid/v1/lanyard.json", `{`) }},
		"newer-memory":      {keys: []publish.Key{k}, want: "another version", prepare: func(b *bench) { b.write("openid/v1/lanyard.json", `{"version":2}`) }},
		"unreadable-keys":   {keys: []publish.Key{k}, want: "published openid/v1/jwks", prepare: func(b *bench) { b.write(publish.KeySet, `<html>`) }},
		"huge-document": {keys: []publish.Key{k}, want: "more than 1048576 bytes", prepare: func(b *bench) {
			b.write(publish.KeySet, strings.Repeat(" ", 1<<20+1))
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if tt.prepare != nil {
				tt.prepare(b)
			}
			var revoke []string
			if tt.revoke != "" {
				revoke = append(revoke, tt.revoke)
			}
			_, err := b.publisher(revoke...).Plan(t.Context(), publish.Set{Keys: tt.keys})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Plan = %v, want %q", err, tt.want)
			}
		})
	}
}

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := b.place.Write(b.t.Context(), name, publish.Document{Body: []byte(text)}); err != nil {
		b.t.Fatal(err)
	}
}

func TestKeysPublishedByHandGetTheirOverlap(t *testing.T) {
	b := newBench(t)
	hand, fresh := newKey(t), newKey(t)
	text, err := publish.Set{Keys: []publish.Key{hand}}.JSON()
	if err != nil {
		t.Fatal(err)
	}
	b.write(publish.KeySet, string(text))
	b.publish(b.publisher(), fresh)
	b.want(fresh, hand)
}

// torn fails from one write on, as a broken network would.
type torn struct {
	publish.Place
	left int
}

var errTorn = errors.New("the network broke")

func (f *torn) Write(ctx context.Context, name string, d publish.Document) error {
	if f.left--; f.left < 0 {
		return errTorn
	}
	return f.Place.Write(ctx, name, d)
}

// However early a withdrawal is interrupted, no later run without the flag may
// bring the key back, unless nothing at all was written.
func TestInterruptedWithdrawalIsKept(t *testing.T) {
	for done := range 4 {
		b := newBench(t)
		bad, good := newKey(t), newKey(t)
		b.publish(b.publisher(), bad, good)
		whole := b.place
		b.place = &torn{whole, done}
		p := b.publisher(bad.ID)
		plan, err := p.Plan(t.Context(), publish.Set{Keys: []publish.Key{bad, good}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(t.Context(), plan); (err == nil) != (done >= len(plan.Writes)) {
			t.Errorf("after %d writes: %v", done, err)
		}
		b.place = whole
		b.publish(b.publisher(), bad, good)
		if done == 0 {
			b.want(bad, good)
		} else {
			b.want(good)
		}
	}
}

func TestNoReaderFindsDiscoveryWithoutKeys(t *testing.T) {
	for done := range 3 {
		b := newBench(t)
		whole := b.place
		b.place = &torn{whole, done}
		p := b.publisher()
		plan, err := p.Plan(t.Context(), publish.Set{Keys: []publish.Key{newKey(t)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(t.Context(), plan); !errors.Is(err, errTorn) {
			t.Errorf("after %d writes: %v, want the network's error", done, err)
		}
		if _, err := os.Stat(filepath.Join(b.dir, publish.Discovery)); err == nil {
			t.Errorf("after %d writes there is a discovery document", done)
		}
	}
}

func TestFollowKeepsGoingThroughFailures(t *testing.T) {
	first, second := newKey(t), newKey(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		place, err := publish.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer place.Close()
		var log bytes.Buffer
		p, err := publish.New(publish.Config{Place: place, Issuer: "https://oidc.example.org", Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		rounds := 0
		ctx, stop := context.WithCancel(t.Context())
		p.Follow(ctx, time.Minute, func(context.Context) (publish.Set, error) {
			rounds++
			switch rounds {
			case 1:
				return publish.Set{Keys: []publish.Key{first}}, nil
			case 2:
				return publish.Set{}, errors.New("the API server is away")
			case 4:
				stop()
			}
			return publish.Set{Keys: []publish.Key{second}}, nil
		})
		b, err := os.ReadFile(filepath.Join(dir, publish.KeySet))
		if err != nil {
			t.Fatal(err)
		}
		got, err := publish.ParseSet(b)
		if err != nil || len(got.Keys) != 2 {
			t.Errorf("published %v, %v; want both keys", got.Keys, err)
		}
		if !strings.Contains(log.String(), "the API server is away") {
			t.Errorf("the failure is not in the log:\n%s", log.String())
		}
	})
}

func TestCheckSeesWhatVerifiersSee(t *testing.T) {
	b := newBench(t)
	var status int
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status != 0 {
			w.WriteHeader(status)
			return
		}
		http.StripPrefix("/cluster-1", http.FileServer(http.Dir(b.dir))).ServeHTTP(w, r)
	}))
	defer srv.Close()
	b.issuer = srv.URL + "/cluster-1"
	first := newKey(t)
	plan := b.publish(b.publisher(), first)
	if err := plan.Check(t.Context(), srv.Client()); err != nil {
		t.Errorf("Check = %v", err)
	}
	later := b.publish(b.publisher(), newKey(t))
	if err := plan.Check(t.Context(), srv.Client()); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("Check of old documents = %v", err)
	}
	status = http.StatusForbidden
	if err := later.Check(t.Context(), srv.Client()); err == nil || !strings.Contains(err.Error(), "without signing in") {
		t.Errorf("Check of a private bucket = %v", err)
	}
	if err := later.Check(t.Context(), http.DefaultClient); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Check with an unknown CA = %v", err)
	}
}

func TestIssuersThatNobodyCanAsk(t *testing.T) {
	for _, issuer := range []string{"", "http://a.example", "https://", "https://a.example?x=1", "https://u@a.example", "kubernetes/serviceaccount", "https://a.example/#f"} {
		if _, err := publish.New(publish.Config{Issuer: issuer}); err == nil {
			t.Errorf("New with issuer %q succeeds", issuer)
		}
	}
}

func TestParsePEM(t *testing.T) {
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkix := func(public any) string {
		der, err := x509.MarshalPKIXPublicKey(public)
		return block("PUBLIC KEY", der, err)
	}
	curve := func(c elliptic.Curve) string {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return pkix(&k.PublicKey)
	}
	good := map[string][]string{
		pkix(&strong.PublicKey): {"RS256"},
		block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&strong.PublicKey), nil): {"RS256"},
		curve(elliptic.P256()): {"ES256"}, curve(elliptic.P384()): {"ES384"}, curve(elliptic.P521()): {"ES512"},
		curve(elliptic.P256()) + curve(elliptic.P384()): {"ES256", "ES384"},
	}
	for text, want := range good {
		keys, err := publish.ParsePEM([]byte(text))
		var algorithms []string
		for _, k := range keys {
			algorithms = append(algorithms, k.Alg)
		}
		if err != nil || !slices.Equal(algorithms, want) {
			t.Errorf("ParsePEM = %v, %v; want %v", algorithms, err, want)
		}
		set, err := publish.Set{Keys: keys}.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := publish.ParseSet(set); err != nil || !slices.Equal(back.Keys, keys) {
			t.Errorf("ParseSet = %v, %v; want what was rendered", back, err)
		}
	}
	private := block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(strong), nil)
	for text, want := range map[string]string{
		"": "no PEM public key", "text": "no PEM public key", private: "private key",
		curve(elliptic.P224()): "curve", block("PUBLIC KEY", []byte("x"), nil): "asn1", block("CERTIFICATE REQUEST", nil, nil): "no public key",
	} {
		if _, err := publish.ParsePEM([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePEM(%.30q) = %v, want %q", text, err, want)
		}
	}
}

func FuzzParsePEM(f *testing.F) {
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := publish.ParsePEM(text)
		if err == nil && len(keys) == 0 {
			t.Error("no key and no error")
		}
	})
}

func FuzzParseSet(f *testing.F) {
	set, err := publish.Set{Keys: []publish.Key{newKey(f)}}.JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(set)
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"","e":"AQAB","d":"x"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := publish.ParseSet(text)
		if err != nil {
			return
		}
		out, err := s.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := publish.ParseSet(out); err != nil {
			t.Errorf("what was read cannot be published: %v", err)
		}
	})
}
