package server

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/store"
)

// checks are those of /readyz. What clients can still be served with is a warning.
func (s *Server) checks() []obs.Check {
	return []obs.Check{
		{Name: "serving", Check: func(context.Context) error {
			if s.draining.Load() {
				return errors.New("it is to stop")
			}
			return nil
		}},
		{Name: "store", Check: s.checkStore},
		{Name: "certificate", Check: func(ctx context.Context) error {
			return s.certificates.State(ctx).Valid(s.c.Now())
		}},
		{Name: "audit", Check: func(context.Context) error {
			return s.disk.check(s.c.path(auditDirName), s.c.Now())
		}},
		{Name: "certificate-renewal", Warn: true, Check: func(ctx context.Context) error {
			return s.certificates.State(ctx).Failure
		}},
		{Name: "clock", Warn: true, Check: s.checkClock},
		{Name: "store-size", Warn: true, Check: s.checkSize},
	}
}

func (s *Server) checkStore(ctx context.Context) error {
	err := s.backend.Store.Ping(ctx)
	if err != nil {
		err = fmt.Errorf("out of touch since %s: %w", s.backend.Store.LastTouch().UTC().Format(time.RFC3339), err)
	}
	return err
}

// maxAhead is how far clocks of several servers may differ without a warning.
const maxAhead = 5 * time.Minute

// checkClock compares the clock with times that servers have stored.
func (s *Server) checkClock(context.Context) error {
	v, err := s.backend.Store.View()
	if err != nil {
		return nil // the store's check says so
	}
	keys, _, ok := store.Get[*model.SigningKeys](v, model.SigningKeysKey)
	if !ok {
		return nil
	}
	for _, k := range keys.Keys {
		if k.Created.After(s.c.Now().Add(maxAhead)) {
			return fmt.Errorf("the clock says %s, and a signing key was made at %s: it is behind, or was ahead then",
				s.c.Now().UTC().Format(time.RFC3339), k.Created.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

func (s *Server) checkSize(context.Context) error {
	size, quota := s.backend.size()
	if quota > 0 && size > quota/10*9 {
		return fmt.Errorf("the store has %d of %d bytes: delete what is not needed", size, quota)
	}
	return nil
}

// size is that of the embedded etcd's database; an external one is its operator's.
func (b *Backend) size() (size, quota int64) {
	if b.etcd == nil {
		return 0, 0
	}
	return b.etcd.Size()
}

// disk knows whether a file of a directory can be written. It asks every second at
// most, whoever asks it.
type disk struct {
	mu   sync.Mutex
	last time.Time // guarded by mu
	err  error     // guarded by mu
}

func (d *disk) check(dir string, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if age := now.Sub(d.last); age >= 0 && age < time.Second {
		return d.err
	}
	d.last, d.err = now, tryWriting(dir)
	return d.err
}

// tryWriting writes as much as a few records.
func tryWriting(dir string) (err error) {
	f, err := os.CreateTemp(dir, ".probe.*")
	if err != nil {
		return fmt.Errorf("writing to %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if _, err = f.Write(make([]byte, 8<<10)); err != nil {
		err = fmt.Errorf("writing to %s: %w", dir, err)
	}
	return errors.Join(err, f.Close())
}

// gauges tell of what ends or fills up.
func (s *Server) gauges() []prometheus.Collector {
	state := func() pki.State { return s.certificates.State(context.Background()) }
	all := []prometheus.Collector{
		certificateEnd("server", func() float64 { return float64(state().NotAfter.Unix()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lanyard_certificate_renewal_failed", Help: "Whether the last attempt to have a newer server certificate failed.",
		}, func() float64 {
			if state().Failure != nil {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lanyard_store_last_touch_timestamp_seconds", Help: "When etcd last proved that the view in memory is current.",
		}, func() float64 { return float64(s.backend.Store.LastTouch().UnixMilli()) / 1000 }),
	}
	for of, file := range map[string]string{"etcd_client": s.c.Etcd.CertFile, "etcd_ca": s.c.Etcd.CAFile} {
		if file != "" {
			all = append(all, certificateEnd(of, func() float64 { return fileEnd(file) }))
		}
	}
	return all
}

func certificateEnd(of string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lanyard_certificate_end_timestamp_seconds", Help: "When a certificate ends.",
		ConstLabels: prometheus.Labels{"of": of},
	}, value)
}

// fileEnd is the end of the certificate of a PEM file that ends last: of one that
// was renewed, the old one may be there too. It is 0 when there is none.
func fileEnd(path string) float64 {
	rest, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	var last time.Time
	var block *pem.Block
	for block, rest = pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && cert.NotAfter.After(last) {
			last = cert.NotAfter
		}
	}
	if last.IsZero() {
		return 0
	}
	return float64(last.Unix())
}
