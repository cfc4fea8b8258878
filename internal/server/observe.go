package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/lanyard-io/lanyard/internal/clusterdns"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/obs"
)

// observer is a plain listener that tells how the server is.
type observer struct {
	listener net.Listener
	handler  http.Handler
}

// observers are those that were asked for.
func (s *Server) observers() []observer {
	c := obs.DebugConfig{Registry: s.metrics, Checks: s.checks()}
	var all []observer
	for _, o := range []observer{{s.debug, obs.Debug(c)}, {s.health, obs.Probes(c)}, {s.scrape, obs.Metrics(s.metrics)}} {
		if o.listener != nil {
			all = append(all, o)
		}
	}
	return all
}

// drained ends Drain after ctx does; in between the server says that it is not ready.
func (s *Server) drained(ctx context.Context) context.Context {
	if s.c.Drain == 0 {
		return ctx
	}
	longer, stop := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		s.draining.Store(true)
		s.c.Log.InfoContext(ctx, "draining", "for", s.c.Drain)
		time.AfterFunc(s.c.Drain, stop)
	})
	return longer
}

// openClusterDNS prepares to keep vaults' names in the DNS of our own cluster.
func (s *Server) openClusterDNS(context.Context) error {
	if s.c.ClusterDNS == "" {
		return nil
	}
	k, err := kube.Connect(kube.Config{Log: s.c.Log, Now: s.c.Now})
	if err != nil {
		return fmt.Errorf("cluster DNS: %w: leave --cluster-dns out", err)
	}
	s.dns, err = clusterdns.New(clusterdns.Config{
		Store: s.backend.Store, Cluster: k, Namespace: s.c.ClusterDNS, Zones: s.names.Zones(), Log: s.c.Log,
	})
	return err
}
