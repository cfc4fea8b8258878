package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/cluster"
)

// clusterGauges tell how attached clusters are. One look serves a whole scrape: it
// opens every cluster's kubeconfig.
type clusterGauges struct {
	look                func() cluster.Health
	clusters, read, end *prometheus.Desc
}

func newClusterGauges(look func() cluster.Health) *clusterGauges {
	return &clusterGauges{
		look:     look,
		clusters: prometheus.NewDesc("lanyard_clusters", "Attached clusters, by whether their tokens are accepted.", []string{"state"}, nil),
		read:     prometheus.NewDesc("lanyard_cluster_keys_oldest_read_timestamp_seconds", "When the keys of the cluster that was not read for longest were read.", nil, nil),
		end:      prometheus.NewDesc("lanyard_cluster_credential_end_timestamp_seconds", "When the first credential of an attached cluster's kubeconfig ends.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (g *clusterGauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.clusters
	ch <- g.read
	ch <- g.end
}

// Collect implements prometheus.Collector.
func (g *clusterGauges) Collect(ch chan<- prometheus.Metric) {
	h := g.look()
	send := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	seconds := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return float64(t.Unix())
	}
	send(g.clusters, float64(h.NotEnabled), "not_enabled")
	send(g.clusters, float64(h.Accepted), "accepted")
	send(g.clusters, float64(h.Refused), "refused")
	send(g.read, seconds(h.OldestRead))
	send(g.end, seconds(h.FirstEnd))
}
