package httpx_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/httpx"
)

// nullWriter costs nothing, so that what is measured is the edge.
type nullWriter struct{ h http.Header }

func (w *nullWriter) Header() http.Header         { return w.h }
func (w *nullWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *nullWriter) WriteHeader(int)             {}

func (w *nullWriter) SetReadDeadline(time.Time) error  { return nil }
func (w *nullWriter) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkEdge is the edge's own cost per request, beside a bare mux.
func BenchmarkEdge(b *testing.B) {
	ok := []byte("ok")
	run := func(b *testing.B, h http.Handler) {
		r := httptest.NewRequest("GET", "https://"+vaultHost+"/secrets/n/v?api-version=7.4", nil)
		w := &nullWriter{h: http.Header{}}
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(w, r)
		}
	}
	b.Run("mux", func(b *testing.B) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /secrets/{name}/{version}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ok) })
		run(b, mux)
	})
	b.Run("edge", func(b *testing.B) {
		run(b, newEdge(b, httpx.Config{Log: discard(), Metrics: prometheus.NewRegistry()},
			get("GET /secrets/{name}/{version}", "secret.get", func(w http.ResponseWriter, _ *http.Request) error {
				_, err := w.Write(ok)
				return err
			})))
	})
}
