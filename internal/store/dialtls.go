package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	"google.golang.org/grpc/credentials"

	"github.com/lanyard-io/lanyard/internal/textfile"
)

// clientTLS is nil when nothing is configured: the endpoints' scheme decides then.
func clientTLS(c DialConfig) (*tls.Config, error) {
	if c.CAFile == "" && c.CertFile == "" && c.KeyFile == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := textfile.Read(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading etcd's CA: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading etcd's CA: no PEM certificate in %s", c.CAFile)
		}
	}
	if c.CertFile != "" || c.KeyFile != "" {
		cert, err := c.pair()
		if err != nil {
			return nil, fmt.Errorf("loading the client certificate for etcd: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}

// pair is the client certificate and its key.
func (c DialConfig) pair() (tls.Certificate, error) {
	cert, err := textfile.Read(c.CertFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := textfile.Read(c.KeyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// fileCredentials are gRPC's, of files that are read for each new connection:
// they are rotated while the server runs.
type fileCredentials struct {
	c DialConfig

	mu   sync.Mutex
	last *tls.Config // guarded by mu; the last that was read whole
}

// secured says whether connections to the endpoint are TLS when a CA or a
// certificate is set, as etcd's client has it.
func secured(endpoint string) bool {
	return !strings.HasPrefix(endpoint, "http://") && !strings.HasPrefix(endpoint, "unix:")
}

// current is made of the files as they are now. While they do not fit each other, such
// as in the middle of a rotation, the last one stays.
func (f *fileCredentials) current(ctx context.Context) credentials.TransportCredentials {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := clientTLS(f.c)
	switch {
	case err == nil:
		f.last = t
	case f.c.Log != nil:
		f.c.Log.LogAttrs(ctx, slog.LevelError, "kept the old certificates for etcd", slog.Any("error", err))
	}
	return credentials.NewTLS(f.last)
}

// ClientHandshake implements credentials.TransportCredentials.
func (f *fileCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return f.current(ctx).ClientHandshake(ctx, authority, conn)
}

// ServerHandshake implements credentials.TransportCredentials.
func (f *fileCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("credentials of a client")
}

// Info implements credentials.TransportCredentials.
func (f *fileCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (f *fileCredentials) Clone() credentials.TransportCredentials { return f }

// OverrideServerName implements credentials.TransportCredentials; gRPC calls it no more.
func (f *fileCredentials) OverrideServerName(string) error { return errors.New("not supported") }
