package httpx

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// metrics counts requests. Its labels come from our own tables only.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	mu       sync.Mutex // for writers of series
	series   atomic.Pointer[map[seriesKey]series]
}

type seriesKey struct {
	surface, op string
	status      int
	kind        string
}

// series are one key's metrics, looked up once.
type series struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

func newMetrics(reg prometheus.Registerer, inFlight func() float64) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_http_requests_total",
			Help: "Requests answered, by surface, operation, status and kind of error (empty without one).",
		}, []string{"surface", "op", "status", "kind"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "lanyard_http_request_duration_seconds",
			Help:    "Time from the request's header to the end of its handler.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"surface", "op"}),
	}
	m.series.Store(&map[seriesKey]series{})
	if reg == nil {
		return m, nil
	}
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lanyard_http_in_flight", Help: "Requests being answered now.",
	}, inFlight)
	for _, c := range []prometheus.Collector{m.requests, m.duration, gauge} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

// of finds a key's series without a lock; the map is replaced when it grows.
func (m *metrics) of(k seriesKey) series {
	if s, ok := (*m.series.Load())[k]; ok {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next := maps.Clone(*m.series.Load())
	next[k] = series{
		requests: m.requests.WithLabelValues(k.surface, k.op, strconv.Itoa(k.status), k.kind),
		duration: m.duration.WithLabelValues(k.surface, k.op),
	}
	m.series.Store(&next)
	return next[k]
}

const maxLoggedPath = 256

// observe counts the request and logs its one event.
func (e *Edge) observe(x *exchange, r *http.Request) {
	took := e.now().Sub(x.start)
	if x.status == 0 && !x.abort {
		x.status = http.StatusOK // net/http's answer when a handler writes nothing
	}
	kind := ""
	if x.err != nil {
		kind = apierr.KindOf(x.err).String()
	}
	s := e.metrics.of(seriesKey{x.surface.Name, x.op, x.status, kind})
	s.requests.Inc()
	s.duration.Observe(took.Seconds())

	ctx := r.Context()
	level := slog.LevelInfo
	// 501 is the answer for a missing feature, and no fault.
	if x.status >= 500 && x.status != http.StatusNotImplemented || x.stack != nil || x.brokeOff(ctx) {
		level = slog.LevelError
	}
	if !e.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 20)
	attrs = append(attrs,
		slog.String("op", x.op), slog.String("surface", x.surface.Name), slog.String("method", method(r)),
		slog.String("host", x.request.Host), slog.String("path", x.path[:min(len(x.path), maxLoggedPath)]),
		slog.Int("status", x.status), slog.Duration("duration", took), slog.Int64("bytes", x.bytes),
		slog.String("remote", x.request.Remote)) // the request's ids are the logger's to add
	for _, a := range [...]struct{ key, value string }{
		{"code", x.code}, {"kind", kind},
		{"oid", x.caller.ObjectID}, {"appid", x.caller.AppID}, {"stack", string(x.stack)},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	e.log.LogAttrs(ctx, level, "handled request", attrs...)
}

// brokeOff says whether we, not the client, ended an answer that had begun.
func (x *exchange) brokeOff(ctx context.Context) bool {
	return x.abort && apierr.KindOf(x.err) == apierr.Internal && x.err != http.ErrAbortHandler && ctx.Err() == nil //nolint:errorlint // set by recover, never wrapped
}

// method keeps a made-up method of any length out of the log.
func method(r *http.Request) string { return r.Method[:min(len(r.Method), 16)] }
