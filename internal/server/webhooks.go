package server

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/arm"
	"github.com/lanyard-io/lanyard/internal/cluster"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/store"
)

// openWebhooks prepares to put the webhook into attached clusters, and to serve
// it to those that call us.
func (s *Server) openWebhooks(ctx context.Context) (err error) {
	own := s.names.Own()
	c := cluster.Config{
		Server:    own.LoginURL() + "/" + s.instance.TenantID,
		Authority: own.LoginURL() + "/", TenantID: s.instance.TenantID, CA: s.podCA, Names: s.hostNames,
		Image: s.c.WebhookImage, Log: s.c.Log, Now: s.c.Now,
	}
	if s.c.ADFS {
		c.TenantID = "adfs"
	}
	if s.c.WebhookImage != "" {
		c.Mode = model.WebhookDeployment
	}
	if s.webhook == nil {
		s.installer, err = cluster.New(c)
		return err
	}
	ca, previous, err := s.webhookAuthority(ctx)
	if err != nil {
		return err
	}
	c.Mode, c.Bundle = model.WebhookURL, pki.Bundle(ca, previous)
	names := []string{}
	if host, port, err := net.SplitHostPort(s.webhook.Addr().String()); err == nil {
		if asked, _, err := net.SplitHostPort(s.c.Webhook); err == nil && net.ParseIP(asked) == nil {
			host = asked // a name, which the listener turned into an address
		}
		if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
			names = append(names, strings.ToLower(host))
			c.URL = "https://" + net.JoinHostPort(host, port)
		}
	}
	if s.installer, err = cluster.New(c); err != nil {
		return err
	}
	metrics := admission.NewMetrics()
	s.metrics.MustRegister(metrics.Collectors()...)
	s.hooks, err = cluster.NewHooks(cluster.HooksConfig{
		Store: s.backend.Store, Installer: s.installer, CA: ca, Names: names, Metrics: metrics, Log: s.c.Log, Now: s.c.Now,
		Kubeconfig: func(k *model.Cluster) ([]byte, error) { return s.backend.Sealer.Open(k.Kubeconfig, k.Key()) },
	})
	return err
}

// hostNames are all names that the server answers to, those of vaults included.
func (s *Server) hostNames() []string {
	var vaults []string
	if view, err := s.backend.Store.View(); err == nil {
		for e := range view.Lookup(model.AllVaults) {
			if v, ok := e.Value.(*model.Vault); ok && v.Deleted == nil {
				vaults = append(vaults, v.Name)
			}
		}
	}
	return s.names.Hosts(vaults, nil)
}

// webhookAuthority loads the CA that API servers trust for their webhook alone,
// or makes it. One that ends takes its time to be followed everywhere.
func (s *Server) webhookAuthority(ctx context.Context) (*pki.CA, [][]byte, error) {
	st := s.backend.Store
	for {
		v, err := st.Fresh(ctx)
		if err != nil {
			return nil, nil, err
		}
		stored, rev, ok := store.Get[*model.CA](v, model.WebhookCAKey)
		var previous [][]byte
		if ok {
			ca, err := s.openCA(stored)
			if err != nil {
				return nil, nil, err
			}
			if s.c.Now().Before(ca.NotAfter()) {
				return ca, stored.Previous, nil
			}
			previous = [][]byte{stored.Certificate}
		}
		ca, err := pki.NewPrivateCA(s.c.Now())
		if err != nil {
			return nil, nil, err
		}
		sealed, err := s.backend.Sealer.Seal(ca.PKCS8(), model.WebhookCAKey)
		if err != nil {
			return nil, nil, err
		}
		_, err = st.Put(ctx, &model.CA{Webhook: true, Certificate: ca.DER(), SealedKey: sealed, Previous: previous}, rev)
		if !errors.Is(err, store.ErrConflict) { // else another replica was first
			return ca, previous, err
		}
	}
}

// clusterGauges tell how attached clusters are. One look serves a whole scrape: it
// opens every cluster's kubeconfig.
type clusterGauges struct {
	look                func() arm.ClusterHealth
	clusters, read, end *prometheus.Desc
}

func newClusterGauges(look func() arm.ClusterHealth) *clusterGauges {
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
