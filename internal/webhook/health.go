package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/obs"
)

func (s *Server) healthHandler() http.Handler {
	return obs.Probes(obs.DebugConfig{Checks: s.checks()})
}

// checks are what a request needs, so that the first is answered as fast and as
// well as any other.
func (s *Server) checks() []obs.Check {
	return []obs.Check{
		{Name: "certificate", Check: s.certs.Ready},
		{Name: "service accounts", Check: s.accounts.Ready},
		{Name: "cluster", Check: func(context.Context) error {
			if !s.version.Load() {
				return fmt.Errorf("the API server %s has not answered yet", s.k.Server())
			}
			return nil
		}},
		{Name: "running", Check: func(context.Context) error {
			if s.draining.Load() {
				return errors.New("this replica is leaving")
			}
			return nil
		}},
	}
}

func (s *Server) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lanyard_webhook_accounts", Help: "Service accounts in memory.",
		}, func() float64 { return float64(s.accounts.Len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lanyard_webhook_accounts_age_seconds", Help: "Time since the API server last said anything about service accounts.",
		}, func() float64 {
			heard := s.accounts.Heard()
			if heard.IsZero() {
				return -1
			}
			return s.c.Now().Sub(heard).Seconds()
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lanyard_webhook_certificate_expiry_timestamp_seconds", Help: "When the certificate that is served ends; 0 without one.",
		}, func() float64 {
			cert := s.certs.Current(context.Background())
			if cert == nil {
				return 0
			}
			return float64(cert.Leaf.NotAfter.Unix())
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lanyard_webhook_ready", Help: "1 when this replica is ready.",
		}, func() float64 {
			for _, check := range s.checks() {
				if check.Check(context.Background()) != nil {
					return 0
				}
			}
			return 1
		}),
	}
}
