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

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
)

// fixture is an edge behind a real TLS listener on loopback.
type fixture struct {
	*httptest.Server
	edge    *httpx.Edge
	log     *surfacetest.Log
	metrics *prometheus.Registry
	done    chan struct{} // one value per request that has been observed
}

var statuses = map[apierr.Kind]int{
	apierr.Internal: 500, apierr.Invalid: 400, apierr.Unauthenticated: 401, apierr.Forbidden: 403,
	apierr.NotFound: 404, apierr.MethodNotAllowed: 405, apierr.TooLarge: 413, apierr.Throttled: 429, apierr.Timeout: 408, apierr.Unsupported: 415,
}

func writeError(w http.ResponseWriter, r *http.Request, err error) {
	httpx.SetCode(r, "Test"+apierr.KindOf(err).String())
	_ = httpx.WriteJSON(w, statuses[apierr.KindOf(err)], map[string]string{
		"kind": apierr.KindOf(err).String(), "detail": apierr.Detail(err),
	})
}

func authenticate(r *http.Request) (model.Caller, error) {
	if r.Header.Get("Authorization") != "Bearer good" {
		return model.Caller{}, apierr.New(apierr.Unauthenticated, "no token")
	}
	return model.Caller{ObjectID: "the-oid", AppID: "the-app"}, nil
}

func newEdge(t testing.TB, c httpx.Config, routes ...httpx.Route) *httpx.Edge {
	t.Helper()
	n, err := names.New(names.Config{Address: "lanyard.test"})
	if err != nil {
		t.Fatal(err)
	}
	c.Names, c.Now = n, time.Now
	c.Surfaces = map[names.Surface]httpx.Surface{
		names.Vault: {
			Name: "vault", Routes: routes, Authenticate: authenticate, WriteError: writeError,
			Header: func(h http.Header, r *http.Request) {
				h.Set("X-Ms-Request-Id", obs.RequestFrom(r.Context()).ID)
			},
		},
	}
	e, err := httpx.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newFixture(t testing.TB, c httpx.Config, routes ...httpx.Route) *fixture {
	t.Helper()
	f := &fixture{log: &surfacetest.Log{}, metrics: prometheus.NewRegistry(), done: make(chan struct{}, 1000)}
	c.Log, c.Metrics = obs.NewLogger(f.log, "json", slog.LevelInfo), f.metrics
	f.edge = newEdge(t, c, routes...)
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { f.done <- struct{}{} }()
		f.edge.ServeHTTP(w, r)
	}))
	f.EnableHTTP2 = true
	f.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	f.StartTLS()
	t.Cleanup(f.Close)
	f.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return f
}

const vaultHost = "kv1.vault.lanyard.test"

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) kind(t testing.TB) string {
	t.Helper()
	var e struct{ Kind string }
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("answer %q: %v", a.body, err)
	}
	return e.Kind
}

func (f *fixture) do(t testing.TB, method, host, path, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := f.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", method, path, err)
	}
	<-f.done
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// events are the log so far.
func (f *fixture) events(t testing.TB) []map[string]any {
	t.Helper()
	var events []map[string]any
	dec := json.NewDecoder(strings.NewReader(f.log.String()))
	for {
		var e map[string]any
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return events
		} else if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
}

func reply(text string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func get(pattern, op string, handle func(http.ResponseWriter, *http.Request) error) httpx.Route {
	return httpx.Route{Pattern: pattern, Op: op, MaxBody: httpx.NoBody, Timeout: time.Minute, Handle: handle}
}

func secretRoutes() []httpx.Route {
	name := func(prefix string) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			_, vault := httpx.Target(r)
			_, err := fmt.Fprintf(w, "%s %s %s %s", prefix, vault, r.PathValue("name"), r.PathValue("version"))
			return err
		}
	}
	put := get("PUT /secrets/{name}", "secret.set", name("set"))
	put.MaxBody, put.Auth = 1000, true
	return []httpx.Route{
		get("GET /secrets/{name}", "secret.get", name("get")),
		get("GET /secrets/{name}/{$}", "secret.get", name("get")),
		get("GET /secrets/{name}/{version}", "secret.get", name("version")),
		get("GET /tree/", "tree", name("tree")),
		get("GET /slash/{name}/{$}", "slash", name("slash")),
		put,
	}
}
