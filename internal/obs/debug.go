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
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.Registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, ErrorHandling: promhttp.ContinueOnError,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusOK, status{OK: true})
	})
	mux.HandleFunc("GET /readyz", c.ready)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// status is the body of /healthz and /readyz.
type status struct {
	OK     bool     `json:"ok"`
	Failed []failed `json:"failed,omitempty"`
}

type failed struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

func (c *DebugConfig) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), c.Timeout)
	defer cancel()
	s := status{OK: true}
	for _, check := range c.Checks {
		if err := check.Check(ctx); err != nil {
			s.OK = false
			s.Failed = append(s.Failed, failed{Name: check.Name, Error: err.Error()})
		}
	}
	code := http.StatusOK
	if !s.OK {
		code = http.StatusServiceUnavailable
	}
	writeStatus(w, code, s)
}

func writeStatus(w http.ResponseWriter, code int, s status) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s)
}
