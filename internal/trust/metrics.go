package trust

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	fetches *prometheus.CounterVec
	seconds prometheus.Histogram
}

func newMetrics() metrics {
	return metrics{
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_trust_fetches_total",
			Help: "Fetches of a foreign issuer's keys, by outcome.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "lanyard_trust_fetch_duration_seconds",
			Help:    "How long fetching a foreign issuer's discovery document and keys took.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
}

func (m *metrics) observe(err error, took time.Duration) {
	m.fetches.WithLabelValues(string(outcomeOf(err))).Inc()
	m.seconds.Observe(took.Seconds())
}
