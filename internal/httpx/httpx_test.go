package httpx_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/obs"
)

func TestPaths(t *testing.T) {
	f := newFixture(t, httpx.Config{}, secretRoutes()...)
	for _, c := range []struct {
		method, path string
		status       int
		want         string // body, or kind of error
	}{
		{"GET", "/secrets/n", 200, "get kv1 n "},
		{"HEAD", "/secrets/n", 200, ""},
		{"GET", "/secrets/n/", 200, "get kv1 n "},
		{"GET", "/secrets/n/v", 200, "version kv1 n v"},
		{"GET", "//secrets///n//", 200, "get kv1 n "},
		{"GET", "/secrets/n?a=//b/../c", 200, "get kv1 n "},
		{"GET", "/secrets/n%2Fx", 200, "get kv1 n/x "},
		{"GET", "//secrets/n%2F/v", 200, "version kv1 n/ v"},
		{"GET", "/secrets/%2F%2F/v", 200, "version kv1 // v"},
		{"GET", "/secrets/%6E", 200, "get kv1 n "},
		{"GET", "/secrets/..n", 200, "get kv1 ..n "},
		{"GET", "/secrets/%252e%252e", 200, "get kv1 %2e%2e "},
		{"GET", "/secrets/n/..", 400, "invalid"},
		{"GET", "/secrets/x/../n", 400, "invalid"},
		{"GET", "/secrets/./n", 400, "invalid"},
		{"GET", "/secrets/%2e%2E/n", 400, "invalid"},
		{"GET", "/secrets/x%2F..%2Fn", 400, "invalid"},
		{"GET", "/secrets/a%00b", 400, "invalid"},
		{"GET", "/secrets/a%0Ab", 400, "invalid"},
		{"GET", "/secrets/a%7f", 400, "invalid"},
		{"GET", "/secrets/a%ff", 400, "invalid"},
		{"GET", "/", 404, "not_found"},
		{"GET", "", 404, "not_found"},
		{"GET", "/tree", 404, "not_found"},
		{"GET", "/slash/n", 404, "not_found"},
		{"GET", "/nothing", 404, "not_found"},
		{"DELETE", "/secrets/n", 405, "method_not_allowed"},
	} {
		t.Run(c.method+" "+strings.ReplaceAll(c.path, "/", "|"), func(t *testing.T) {
			got := f.do(t, c.method, vaultHost, c.path, "")
			if got.status >= 400 {
				got.body = got.kind(t)
			}
			if got.status != c.status || got.body != c.want {
				t.Errorf("got %d %q, want %d %q", got.status, got.body, c.status, c.want)
			}
		})
	}
}

func TestMethodNotAllowedNamesTheMethods(t *testing.T) {
	f := newFixture(t, httpx.Config{}, secretRoutes()...)
	got := f.do(t, "DELETE", vaultHost, "/secrets/n", "")
	if allow := got.header.Get("Allow"); allow != "GET, HEAD, PUT" {
		t.Errorf("Allow = %q, want GET, HEAD, PUT", allow)
	}
}

func TestUnknownHostIsToldOurNames(t *testing.T) {
	f := newFixture(t, httpx.Config{}, secretRoutes()...)
	for _, host := range []string{"example.org", "login.lanyard.test", "127.0.0.1", "vault.lanyard.test"} {
		got := f.do(t, "GET", host, "/secrets/n", "")
		want := "This server answers to login.lanyard.test, management.lanyard.test, graph.lanyard.test and NAME.vault.lanyard.test only.\n"
		if got.status != http.StatusMisdirectedRequest || got.body != want {
			t.Errorf("host %s: got %d %q, want 421 %q", host, got.status, got.body, want)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	f := newFixture(t, httpx.Config{}, get("GET /id", "id", func(w http.ResponseWriter, r *http.Request) error {
		req := obs.RequestFrom(r.Context())
		return httpx.WriteJSON(w, 200, []string{req.ID, req.Correlation, req.Remote, req.Host})
	}))
	const own = "" // the correlation is the server's own id
	for _, c := range []struct{ path, header, value, want string }{
		{"/id", "X-Other", "x", own},
		{"/id", "Client-Request-Id", "0b0a5cd4-7a0b-4f39-9c5e-3f1b8f1c9a01", "0b0a5cd4-7a0b-4f39-9c5e-3f1b8f1c9a01"},
		{"/id", "X-Ms-Client-Request-Id", "a_b.c-1", "a_b.c-1"},
		{"/id?client-request-id=q1", "X-Other", "x", "q1"},
		{"/id?client%2Drequest%2Did=q2", "X-Other", "x", "q2"},
		{"/id", "Client-Request-Id", "a b", own},
		{"/id", "Client-Request-Id", strings.Repeat("a", 65), own},
	} {
		got := f.do(t, "GET", vaultHost, c.path, "", c.header, c.value)
		var ids []string
		if err := json.Unmarshal([]byte(got.body), &ids); err != nil {
			t.Fatal(err)
		}
		if !model.ValidUUID(ids[0]) || got.header.Get("X-Ms-Request-Id") != ids[0] {
			t.Errorf("id %q, header %q", ids[0], got.header.Get("X-Ms-Request-Id"))
		}
		if want := cmpOr(c.want, ids[0]); ids[1] != want || ids[2] != "127.0.0.1" || ids[3] != vaultHost {
			t.Errorf("%s %s: got correlation %q, remote %q, host %q, want %q", c.path, c.value, ids[1], ids[2], ids[3], want)
		}
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// untouched fails the test when its body is read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestAuthenticationComesBeforeTheBody(t *testing.T) {
	e := newEdge(t, httpx.Config{Log: slog.New(slog.DiscardHandler)}, secretRoutes()...)
	r := httptest.NewRequest("PUT", "https://"+vaultHost+"/secrets/n", untouched{t})
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	if w.Code != 401 {
		t.Errorf("got %d, want 401", w.Code)
	}
}

func TestCallerReachesHandlerAndLog(t *testing.T) {
	put := get("PUT /who", "who", func(w http.ResponseWriter, r *http.Request) error {
		httpx.SetOp(r, "who.precisely")
		_, err := io.WriteString(w, httpx.Caller(r).ObjectID)
		return err
	})
	put.Auth = true
	f := newFixture(t, httpx.Config{}, put)
	got := f.do(t, "PUT", vaultHost, "/who?secret=in-query", "", "Authorization", "Bearer good", "Client-Request-Id", "mine")
	if got.body != "the-oid" {
		t.Errorf("Caller = %q, want the-oid", got.body)
	}
	want := map[string]any{
		"level": "INFO", "op": "who.precisely", "surface": "vault", "method": "PUT", "path": "/who", "status": 200.0,
		"bytes": 7.0, "remote": "127.0.0.1", "oid": "the-oid", "appid": "the-app", "correlation_id": "mine", "host": vaultHost,
	}
	events := f.events(t)
	if len(events) != 1 {
		t.Fatalf("got %d events, want 1", len(events))
	}
	for k, v := range want {
		if events[0][k] != v {
			t.Errorf("event[%q] = %v, want %v", k, events[0][k], v)
		}
	}
	if strings.Contains(f.log.String(), "in-query") {
		t.Error("the query string is in the log")
	}
}

func TestErrorsAreWrittenOnceAndLogged(t *testing.T) {
	cause := errors.New("disk on fire")
	f := newFixture(t, httpx.Config{},
		get("GET /internal", "internal", func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Length", "3")
			w.Header().Set("ETag", `"x"`)
			return fmt.Errorf("reading: %w", cause)
		}),
		get("GET /panic", "panic", func(http.ResponseWriter, *http.Request) error { panic("boom") }),
		get("GET /denied", "denied", func(_ http.ResponseWriter, r *http.Request) error {
			httpx.SetCaller(r, model.Caller{ObjectID: "someone"})
			return apierr.New(apierr.Forbidden, "no")
		}),
		get("GET /missing", "missing", func(w http.ResponseWriter, _ *http.Request) error {
			return httpx.WriteJSON(w, http.StatusNotImplemented, nil)
		}))

	got := f.do(t, "GET", vaultHost, "/internal", "")
	if got.status != 500 || got.kind(t) != "internal" || strings.Contains(got.body, "fire") || got.header.Get("ETag") != "" {
		t.Errorf("internal error: got %d %q %v", got.status, got.body, got.header)
	}
	got = f.do(t, "GET", vaultHost, "/panic", "")
	if got.status != 500 || strings.Contains(got.body, "boom") {
		t.Errorf("panic: got %d %q", got.status, got.body)
	}
	got = f.do(t, "GET", vaultHost, "/denied", "")
	if got.status != 403 {
		t.Errorf("denied: got %d", got.status)
	}
	f.do(t, "GET", vaultHost, "/missing", "")

	events := f.events(t)
	if len(events) != 4 {
		t.Fatalf("got %d events, want 4", len(events))
	}
	for i, want := range []map[string]any{
		{"level": "ERROR", "error": "reading: disk on fire", "kind": "internal", "code": "Testinternal"},
		{"level": "ERROR", "error": "panic: panic: boom"},
		{"level": "INFO", "error": "no", "kind": "forbidden", "oid": "someone"},
		{"level": "INFO", "status": 501.0},
	} {
		for k, v := range want {
			if events[i][k] != v {
				t.Errorf("event %d: %q = %v, want %v", i, k, events[i][k], v)
			}
		}
	}
	if stack, _ := events[1]["stack"].(string); !strings.Contains(stack, "httpx_test.go") {
		t.Errorf("the panic's stack is not in the log: %q", stack)
	}
}

func TestErrorAfterTheHeaderCutsTheConnection(t *testing.T) {
	f := newFixture(t, httpx.Config{},
		get("GET /half", "half", func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			return errors.New("the other half is gone")
		}),
		get("GET /abort", "abort", func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }))
	for _, path := range []string{"/half", "/abort"} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", f.URL+path, nil)
		req.Host = vaultHost
		resp, err := f.Client().Do(req)
		if err == nil {
			var b []byte
			b, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if strings.Contains(string(b), "kind") {
				t.Errorf("%s: an error document follows half an answer: %q", path, b)
			}
		}
		if err == nil {
			t.Errorf("%s: the client saw a whole answer", path)
		}
		<-f.done
	}
	if events := f.events(t); len(events) != 2 || events[0]["error"] != "the other half is gone" ||
		events[0]["level"] != "ERROR" || events[1]["level"] != "INFO" {
		t.Errorf("events = %v", events)
	}
}

func TestLimitsInFlight(t *testing.T) {
	for _, c := range []struct {
		name  string
		edge  httpx.Config
		route int
	}{
		{"of-the-route", httpx.Config{}, 1},
		{"of-the-server", httpx.Config{MaxInFlight: 1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			entered, leave := make(chan struct{}), make(chan struct{})
			slow := get("GET /slow", "slow", func(w http.ResponseWriter, _ *http.Request) error {
				entered <- struct{}{}
				<-leave
				return reply("done")(w, nil)
			})
			slow.MaxInFlight = c.route
			f := newFixture(t, c.edge, slow)
			first := make(chan answer, 1)
			go func() { first <- f.do(t, "GET", vaultHost, "/slow", "") }()
			<-entered
			if got := f.do(t, "GET", vaultHost, "/slow", ""); got.kind(t) != "throttled" {
				t.Errorf("the second request got %d %s, want throttled", got.status, got.body)
			}
			close(leave)
			if got := <-first; got.body != "done" {
				t.Errorf("the first request got %d %q", got.status, got.body)
			}
			go func() { <-entered }()
			if got := f.do(t, "GET", vaultHost, "/slow", ""); got.body != "done" {
				t.Errorf("a later request got %d %q", got.status, got.body)
			}
		})
	}
}

func TestRoutesWithoutLimitsAreRefused(t *testing.T) {
	ok := get("GET /", "op", reply(""))
	for name, spoil := range map[string]func(*httpx.Route){
		"no-op":       func(r *httpx.Route) { r.Op = "" },
		"no-max-body": func(r *httpx.Route) { r.MaxBody = 0 },
		"no-timeout":  func(r *httpx.Route) { r.Timeout = 0 },
		"no-handle":   func(r *httpx.Route) { r.Handle = nil },
		"bad-pattern": func(r *httpx.Route) { r.Pattern = "GET {" },
	} {
		t.Run(name, func(t *testing.T) {
			r := ok
			spoil(&r)
			n, _ := names.New(names.Config{})
			_, err := httpx.New(httpx.Config{
				Names: n, Now: time.Now, Log: slog.New(slog.DiscardHandler),
				Surfaces: map[names.Surface]httpx.Surface{names.Vault: {Name: "vault", Routes: []httpx.Route{r}, WriteError: writeError}},
			})
			if err == nil {
				t.Error("New accepted the route")
			}
		})
	}
}

func TestMetricLabelsAreOurs(t *testing.T) {
	f := newFixture(t, httpx.Config{}, secretRoutes()...)
	f.do(t, "GET", vaultHost, "/secrets/n", "")
	f.do(t, "GET", vaultHost, "/secrets/m", "")
	f.do(t, "GET", vaultHost, "/made/up/path", "")
	f.do(t, "GET", "made.up.host", "/", "")
	families, err := f.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, fam := range families {
		if fam.GetName() != "lanyard_http_requests_total" {
			continue
		}
		for _, m := range fam.GetMetric() {
			s := ""
			for _, l := range m.GetLabel() {
				s += l.GetName() + "=" + l.GetValue() + " "
			}
			got = append(got, fmt.Sprintf("%s%v", s, m.GetCounter().GetValue()))
		}
	}
	want := []string{
		"kind= op=secret.get status=200 surface=vault 2",
		"kind=not_found op=other status=404 surface=vault 1",
		"kind=not_found op=other status=421 surface=none 1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if len(families) != 3 {
		t.Errorf("got %d metric families, want 3", len(families))
	}
}
