package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanyard-io/lanyard/internal/textfile"
)

// Config for NewCertificates: either CA and Names, or CertFile and KeyFile.
type Config struct {
	CA       *CA
	Names    []string      // what the certificate is for; files must be for these, if any
	Lifetime time.Duration // default 30 days, at most 90; renewed at two thirds

	// CertFile and KeyFile are the operator's PEM files: the chain, leaf first,
	// and its key, which only its owner and group may read. Both are looked at
	// again every ten seconds at most.
	CertFile, KeyFile string

	Log *slog.Logger
	Now func() time.Time
}

const (
	defaultLifetime = 30 * 24 * time.Hour
	statInterval    = 10 * time.Second
)

// Certificates is the certificate of a listener, kept fresh.
type Certificates struct {
	c       Config
	current atomic.Pointer[tls.Certificate]
	next    atomic.Int64 // Unix nanoseconds: when to look again,
	since   atomic.Int64 // or when it is before this: the clock was set back
	failure atomic.Pointer[error]

	mu     sync.Mutex // for whoever renews or reloads
	loaded [2]fs.FileInfo
}

// NewCertificates makes or loads the first certificate.
func NewCertificates(c Config) (*Certificates, error) {
	if c.Lifetime == 0 {
		c.Lifetime = defaultLifetime
	}
	s := &Certificates{c: c}
	files := c.CertFile != "" || c.KeyFile != ""
	switch {
	case c.Log == nil || c.Now == nil:
		return nil, errors.New("certificates: Log and Now must be set")
	case files && (c.CertFile == "" || c.KeyFile == ""):
		return nil, errors.New("certificates: a certificate file and a key file come together")
	case files == (c.CA != nil):
		return nil, errors.New("certificates: want either an authority or files")
	}
	if err := s.refresh(); err != nil {
		return nil, err
	}
	return s, nil
}

// TLS is a listener's configuration: TLS 1.2 or newer, HTTP/2 and HTTP/1. A client
// that names HTTP/1.0 alone would otherwise get no handshake.
func (s *Certificates) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1", "http/1.0"},
		GetCertificate: s.Get,
	}
}

// Get is the certificate for a handshake, whatever name the client asked for.
// When a newer one cannot be had, it logs and serves the one it has.
func (s *Certificates) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.Current(hello.Context()), nil
}

// Current is what Get would serve now.
func (s *Certificates) Current(ctx context.Context) *tls.Certificate {
	if s.due() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.due() {
			if err := s.refresh(); err != nil {
				s.c.Log.ErrorContext(ctx, "kept the old certificate", "error", err)
			}
		}
	}
	return s.current.Load()
}

func (s *Certificates) due() bool {
	now := s.c.Now().UnixNano()
	return now >= s.next.Load() || now < s.since.Load()
}

// refresh renews or reloads. It sets when to look again in any case.
func (s *Certificates) refresh() error {
	now := s.c.Now()
	if s.c.CA == nil {
		s.again(now, now.Add(statInterval))
		changed, err := s.reload(now)
		if changed || err != nil {
			s.failure.Store(&err)
		}
		return err
	}
	leaf, err := s.c.CA.Leaf(s.c.Names, now, s.c.Lifetime)
	s.failure.Store(&err)
	if err != nil {
		s.again(now, now.Add(statInterval))
		return err
	}
	// A clock that goes back less than that leaves it valid for clients behind us.
	s.again(now.Add(-skew/2), now.Add(leaf.Leaf.NotAfter.Sub(now)*2/3))
	s.current.Store(leaf)
	return nil
}

func (s *Certificates) again(since, next time.Time) {
	s.since.Store(since.UnixNano())
	s.next.Store(next.UnixNano())
}

// reload loads the files if they changed. A pair that does not fit is not tried
// again until a file changes: its other half is then on its way.
func (s *Certificates) reload(now time.Time) (changed bool, err error) {
	var found [2]fs.FileInfo
	for i, file := range []string{s.c.CertFile, s.c.KeyFile} {
		info, err := os.Stat(file)
		if err != nil {
			s.loaded = [2]fs.FileInfo{}
			return false, fmt.Errorf("looking at the certificate's files: %w", err)
		}
		found[i] = info
	}
	if same(s.loaded[0], found[0]) && same(s.loaded[1], found[1]) {
		return false, nil
	}
	s.loaded = found
	cert, err := loadPair(s.c.CertFile, s.c.KeyFile)
	if err == nil {
		err = s.suits(cert, now)
	}
	if err != nil {
		return true, err
	}
	renewed := s.current.Swap(cert) != nil
	if renewed {
		s.c.Log.Info("loaded a new certificate", "file", s.c.CertFile, "expires", cert.Leaf.NotAfter)
	}
	return true, nil
}

func same(old, found fs.FileInfo) bool {
	return old != nil && os.SameFile(old, found) && old.Size() == found.Size() && old.ModTime().Equal(found.ModTime()) &&
		old.Mode() == found.Mode()
}

func loadPair(certFile, keyFile string) (*tls.Certificate, error) {
	key, err := readKeyFile(keyFile)
	if err != nil {
		return nil, err
	}
	chain, err := textfile.Read(certFile)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s and its key: %w", certFile, err)
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, fmt.Errorf("reading the certificate %s: %w", certFile, err)
		}
	}
	return &cert, nil
}

// readKeyFile reads a private key that not everybody may read. The mode is that
// of the opened file, so that it cannot change in between.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("key file %s is open to everybody (mode %#o): chmod 600 it, or set defaultMode 0440 on the Secret volume",
			path, info.Mode().Perm())
	}
	b, err := textfile.ReadFrom(f)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	return b, nil
}
