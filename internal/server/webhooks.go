package server

import (
	"context"
	"net"
	"strings"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/cluster"
	"github.com/lanyard-io/lanyard/internal/clusterdns"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/pki"
)

// openWebhooks prepares to put the webhook into attached clusters, and to serve
// it to those that call us.
func (s *Server) openWebhooks(ctx context.Context) (err error) {
	own := s.names.Own()
	c := cluster.InstallerConfig{
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
		s.installer, err = cluster.NewInstaller(c)
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
	if s.installer, err = cluster.NewInstaller(c); err != nil {
		return err
	}
	metrics := admission.NewMetrics()
	s.metrics.MustRegister(metrics.Collectors()...)
	s.hooks, err = cluster.NewHooks(cluster.HooksConfig{
		Store: s.backend.Store, Sealer: s.backend.Sealer, Installer: s.installer, CA: ca, Names: names, Metrics: metrics, Log: s.c.Log, Now: s.c.Now,
	})
	return err
}

// hostNames are all names that the server answers to, those of vaults included.
func (s *Server) hostNames() []string {
	things := map[names.Surface][]string{}
	if view, err := s.backend.Store.View(); err == nil {
		for _, zone := range s.names.Zones() {
			things[zone.Surface] = clusterdns.Things(view, zone.Surface)
		}
	}
	return s.names.HostNames(things, nil)
}

// webhookAuthority loads the CA that API servers trust for their webhook alone,
// or makes it. One that ends takes its time to be followed everywhere.
func (s *Server) webhookAuthority(ctx context.Context) (*pki.CA, [][]byte, error) {
	fits := func(ca *pki.CA) bool { return s.c.Now().Before(ca.NotAfter()) }
	return s.storedCA(ctx, model.CA{Webhook: true}, 1, fits, func() (*pki.CA, error) { return pki.NewPrivateCA(s.c.Now()) })
}
