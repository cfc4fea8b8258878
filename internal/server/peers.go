package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/peers"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// openPeers prepares to find the other servers of the store. There are none with
// an etcd of our own.
func (s *Server) openPeers() error {
	if len(s.c.Etcd.Endpoints) == 0 {
		return nil
	}
	roots := x509.NewCertPool()
	if s.ownCA {
		roots.AppendCertsFromPEM(s.podCA)
	} else {
		// The others have the same file, or one that the system knows.
		if system, err := x509.SystemCertPool(); err == nil {
			roots = system
		}
		pem, err := textfile.Read(s.c.TLSCert)
		if err != nil {
			return fmt.Errorf("reading the certificate: %w", err)
		}
		roots.AppendCertsFromPEM(pem)
	}
	s.peers = peers.New(peers.Config{
		Store: s.backend.Store, Name: s.serverName(), Address: peers.Advertised(s.c.PeerAddress, s.listener.Addr().String()),
		URL: s.names.Own().ManagementURL(), Roots: roots, Now: s.c.Now, Log: s.c.Log,
	})
	return nil
}

// serverName is what people know this server by. Servers of one etcd may be on one
// machine, so there the address is part of it.
func (s *Server) serverName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "server"
	}
	if len(s.c.Etcd.Endpoints) > 0 {
		name += " (" + peers.Advertised(s.c.PeerAddress, s.listener.Addr().String()) + ")"
	}
	return name
}

// decisions finds what was recorded: here, and with the caller's token elsewhere.
func (s *Server) decisions(ctx context.Context, q audit.Query, token string) (audit.Answer, error) {
	own, err := s.gate.Decisions(ctx, s.serverName(), q)
	if err != nil || token == "" || s.peers == nil {
		return own, err
	}
	return s.peers.Merge(ctx, own, q, token)
}
