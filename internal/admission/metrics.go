package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts reviews. One value serves any number of handlers.
type Metrics struct {
	requests *prometheus.HistogramVec
	injected prometheus.Counter
}

// NewMetrics makes the counters; register what Collectors gives.
func NewMetrics() *Metrics {
	return &Metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "azwi_mutation_request", // upstream's name, for dashboards that have it
			Help:    "Seconds that a review took, by outcome and the reason of a refusal.",
			Buckets: []float64{.0001, .0003, .001, .003, .005, .01, .015, .02, .03, .05, .1, .2, .5, 1, 3},
		}, []string{"outcome", "reason"}),
		injected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanyard_admission_containers_total",
			Help: "Containers that a patch added or changed.",
		}),
	}
}

// Collectors for a registry.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.injected}
}

// observe counts a review; both labels come from our own tables.
func (m *Metrics) observe(outcome, reason string, took time.Duration, containers int) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(outcome, reason).Observe(took.Seconds())
	m.injected.Add(float64(containers))
}
