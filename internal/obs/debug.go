package obs

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry makes a metrics registry that already tells of the Go runtime,
// the process and the build.
func NewRegistry() *prometheus.Registry {
	b := Build()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lanyard_build_info", Help: "What the program was built from; always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go},
	})
	build.Set(1)
	reg := prometheus.NewRegistry()
	reg.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// DebugConfig for Debug.
type DebugConfig struct {
	Registry *prometheus.Registry // served at /metrics
	Checks   []Check              // of /readyz, in this order
	Timeout  time.Duration        // of all checks together; default 2 s
}

// Check is one condition of being ready.
type Check struct {
	Name  string
	Check func(ctx context.Context) error // must heed ctx
	Warn  bool                            // its failure is told, and the server is ready nevertheless
}

// maxScrapes is how many scrapes are answered at once.
const maxScrapes = 4

// Debug serves /metrics, /healthz, /readyz and /debug/pprof/. It asks for no
// credentials and tells of the process's insides: it is for a listener of its
// own that only operators reach.
func Debug(c DebugConfig) http.Handler {
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metricsHandler(c.Registry))
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		writeStatus(w, c.check(r.Context()))
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// Metrics serves /metrics alone, for a listener that a monitoring system reaches.
// Metrics tell how much is done and how it ends, never of whom.
func Metrics(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metricsHandler(registry))
	return mux
}

func metricsHandler(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, ErrorHandling: promhttp.ContinueOnError,
	})
}

// Probes serves /healthz and /readyz alone, for a listener that a kubelet
// reaches. It says which check failed, and not why: others reach it too.
func Probes(c DebugConfig) http.Handler {
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		s := c.check(r.Context())
		for _, all := range [][]failed{s.Failed, s.Warned} {
			for i := range all {
				all[i].Error = ""
			}
		}
		writeStatus(w, s)
	})
	return mux
}

func healthy(w http.ResponseWriter, _ *http.Request) { writeStatus(w, status{OK: true}) }

// status is the body of /healthz and /readyz.
type status struct {
	OK     bool     `json:"ok"`
	Failed []failed `json:"failed,omitempty"`
	Warned []failed `json:"warnings,omitempty"`
}

type failed struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"`
}

func (c *DebugConfig) check(ctx context.Context) status {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	s := status{OK: true}
	for _, check := range c.Checks {
		err := check.Check(ctx)
		switch {
		case err == nil:
		case check.Warn:
			s.Warned = append(s.Warned, failed{Name: check.Name, Error: err.Error()})
		default:
			s.OK = false
			s.Failed = append(s.Failed, failed{Name: check.Name, Error: err.Error()})
		}
	}
	return s
}

func writeStatus(w http.ResponseWriter, s status) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	code := http.StatusOK
	if !s.OK {
		code = http.StatusServiceUnavailable
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s)
}
