package httpx_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/httpx"
)

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const codingLimit = 1000

// codingRoutes answer with what they read, as JSON and as a form.
func codingRoutes() []httpx.Route {
	route := func(pattern string, handle func(http.ResponseWriter, *http.Request) error) httpx.Route {
		return httpx.Route{Pattern: pattern, Op: "test", MaxBody: codingLimit, Timeout: time.Minute, Handle: handle}
	}
	return []httpx.Route{
		route("POST /json", func(w http.ResponseWriter, r *http.Request) error {
			var v any
			if err := httpx.ReadJSON(r, &v); err != nil {
				return err
			}
			return httpx.WriteJSON(w, 200, v)
		}),
		route("POST /form", func(w http.ResponseWriter, r *http.Request) error {
			v, err := httpx.ReadForm(r)
			if err != nil {
				return err
			}
			return httpx.WriteJSON(w, 200, v)
		}),
	}
}

func TestContentEncoding(t *testing.T) {
	f := newFixture(t, httpx.Config{}, codingRoutes()...)
	text := `{"value":"hunter2"}`
	z := gzipped(t, text)
	noise := make([]byte, 500) // does not shrink
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path, coding, body string
		status                   int
		want                     string
	}{
		{"plain", "/json", "", text, 200, text},
		{"identity", "/json", "Identity", text, 200, text},
		{"gzip", "/json", "gzip", z, 200, text},
		{"x-gzip", "/json", "X-GZIP", z, 200, text},
		{"gzip-and-identity", "/json", "identity, gzip", z, 200, text},
		{"form", "/form", "gzip", gzipped(t, "a=1&b=2"), 200, `{"a":["1"],"b":["2"]}`},
		{"empty-body", "/json", "gzip", "", 400, "the body is empty; it must be JSON"},
		{"of-nothing", "/json", "gzip", gzipped(t, ""), 400, "the body is empty; it must be JSON"},
		{"unnamed", "/json", "", z, 400, "not UTF-8"},
		{"not-gzip", "/json", "gzip", text, 400, "the body is not gzip, which its Content-Encoding says it is"},
		{"wrong-sum", "/json", "gzip", z[:len(z)-8] + "\x00" + z[len(z)-7:], 400, "the body is not gzip"},
		{"cut", "/json", "gzip", z[:len(z)-4], 400, "the body ended early: its gzip stream has no end"},
		{"cut-in-the-head", "/json", "gzip", z[:5], 400, "the body ended early: its gzip stream has no end"},
		{"two-members", "/json", "gzip", gzipped(t, text[:5]) + gzipped(t, text[5:]), 400, "the body goes on after the end of its gzip stream"},
		{"behind", "/json", "gzip", z + "\x00", 400, "the body goes on after the end of its gzip stream"},
		{"twice", "/json", "gzip, gzip", gzipped(t, z), 415, "the body has the Content-Encoding 'gzip, gzip'; send it as it is, or with gzip, once"},
		{"deflate", "/json", "deflate", z, 415, "the Content-Encoding 'deflate'"},
		{"br", "/form", "br", z, 415, "the Content-Encoding 'br'"},
		{"unprintable", "/form", "\u00e9\u202e" + strings.Repeat("x", 100), z, 415, "…"},
		{"at-the-limit", "/form", "gzip", gzipped(t, "a="+strings.Repeat("x", codingLimit-2)), 200, "xx"},
		{"over-the-limit", "/form", "gzip", gzipped(t, "a="+strings.Repeat("x", codingLimit-1)), 413, "the body is larger than 1000 bytes"},
		{"bomb", "/json", "gzip", gzipped(t, strings.Repeat(" ", 600_000)), 413, "the body is larger than 1000 bytes"},
		{"sent-over-the-limit", "/json", "gzip", gzipped(t, text) + strings.Repeat("x", codingLimit), 413, "the body is larger than 1000 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := []string{"Content-Type", "application/x-www-form-urlencoded"}
			if tt.coding != "" {
				header = append(header, "Content-Encoding", tt.coding)
			}
			got := f.do(t, "POST", vaultHost, tt.path, tt.body, header...)
			if got.status != tt.status || !strings.Contains(got.body, tt.want) {
				t.Errorf("got %d %s, want %d with %q", got.status, got.body, tt.status, tt.want)
			}
			if got := got.header.Get("Accept-Encoding"); (got == "gzip") != (tt.status == 415) {
				t.Errorf("Accept-Encoding %q", got)
			}
		})
	}
	if strings.Contains(f.log.String(), "hunter2") {
		t.Error("a body is in the log")
	}
}

// TestBombStops: what a bomb makes us allocate is what the limit allows.
func TestBombStops(t *testing.T) {
	edge := newEdge(t, httpx.Config{Log: discard(), Metrics: prometheus.NewRegistry()}, codingRoutes()...)
	bomb := gzipped(t, strings.Repeat(" ", 900_000))
	if len(bomb) > codingLimit {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := httptest.NewRequest("POST", "https://"+vaultHost+"/json", strings.NewReader(bomb))
			r.Header.Set("Content-Encoding", "gzip")
			w := httptest.NewRecorder()
			edge.ServeHTTP(w, r)
			if w.Code != 413 {
				b.Fatalf("got %d %s", w.Code, w.Body)
			}
		}
	})
	if got := result.AllocedBytesPerOp(); got > 100_000 {
		t.Errorf("%d bytes for a limit of %d", got, codingLimit)
	}
}

// FuzzContentEncoding: what is accepted is one whole gzip stream, and means what
// the standard library reads of it.
func FuzzContentEncoding(f *testing.F) {
	z := gzipped(f, "a=1")
	for _, s := range []string{z, z + z, z[:7], z[:len(z)-1], z + "x", "", gzipped(f, "a="+strings.Repeat("x", codingLimit))} {
		f.Add([]byte(s), "gzip")
	}
	f.Add([]byte("a=1"), "gzip, br")
	edge := newEdge(f, httpx.Config{Log: discard(), Metrics: prometheus.NewRegistry()}, codingRoutes()...)
	f.Fuzz(func(t *testing.T, body []byte, coding string) {
		r := httptest.NewRequest("POST", "https://"+vaultHost+"/form", bytes.NewReader(body))
		r.Header["Content-Encoding"] = []string{coding}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		edge.ServeHTTP(w, r)
		switch w.Code {
		case 400, 413, 415:
			return
		case 200:
		default:
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		if !strings.Contains(strings.ToLower(coding), "gzip") || len(body) == 0 {
			return
		}
		zr, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
		text, err := io.ReadAll(zr)
		if err != nil || len(text) > codingLimit {
			t.Fatalf("accepted %q: %d bytes, %v", body, len(text), err)
		}
		plain := httptest.NewRequest("POST", "https://"+vaultHost+"/form", bytes.NewReader(text))
		plain.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		want := httptest.NewRecorder()
		edge.ServeHTTP(want, plain)
		if want.Code != 200 || want.Body.String() != w.Body.String() {
			t.Fatalf("%q is %s coded, and plain %d %s", text, w.Body, want.Code, want.Body)
		}
	})
}
