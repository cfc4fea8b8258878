package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// DialConfig says how to reach an external etcd.
type DialConfig struct {
	Endpoints         []string
	CAFile            string // PEM; default the system's
	CertFile, KeyFile string // client certificate
	Username          string
	PasswordFile      string
	Timeout           time.Duration // of the first connection; default 5 s
}

// Dial connects to an external etcd.
func Dial(c DialConfig) (*Client, error) {
	if len(c.Endpoints) == 0 {
		return nil, errors.New("no etcd endpoints")
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	cfg := clientv3.Config{
		Endpoints: c.Endpoints, DialTimeout: c.Timeout, Username: c.Username, Logger: zap.NewNop(),
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
	}
	if c.PasswordFile != "" {
		b, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("reading the etcd password: %w", err)
		}
		cfg.Password = strings.TrimSpace(string(b))
	}
	if c.CAFile != "" || c.CertFile != "" {
		var err error
		if cfg.TLS, err = clientTLS(c); err != nil {
			return nil, err
		}
	}
	return clientv3.New(cfg)
}

func clientTLS(c DialConfig) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading etcd's CA: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no PEM certificate in it", c.CAFile)
		}
	}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("loading the client certificate for etcd: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}
