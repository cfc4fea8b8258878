package server

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"

	"github.com/lanyard-io/lanyard/internal/textfile"
)

// rootsFile is a PEM file of CAs, which may be replaced while the server runs.
type rootsFile struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex
	last *x509.CertPool // guarded by mu; what was read last, whole
}

func (r *rootsFile) read() error {
	roots, err := textfile.Roots(r.path)
	if err != nil {
		return fmt.Errorf("reading the issuers' CAs: %w", err)
	}
	r.last = roots
	return nil
}

// Current is what the file says now. While it cannot be read, it is what it said before.
func (r *rootsFile) Current() *x509.CertPool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.read(); err != nil {
		r.log.Error("kept the old CAs for issuers", "error", err)
	}
	return r.last
}
