package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// DialConfig says how to reach an external etcd.
type DialConfig struct {
	Endpoints         []string // URLs; unix:// is a socket
	CAFile            string   // PEM; default the system's
	CertFile, KeyFile string   // client certificate, PEM; both or none
	Username          string
	PasswordFile      string        // a newline at its end is not part of the password
	Timeout           time.Duration // of the first answer; default 5 s
}

// Client is etcd's client, so that others can hold one without importing it.
type Client = clientv3.Client

const defaultDialTimeout = 5 * time.Second

// Dial connects to an external etcd and waits for its first answer. The caller
// closes the client.
func Dial(c DialConfig) (*Client, error) {
	if len(c.Endpoints) == 0 {
		return nil, errors.New("no etcd endpoints")
	}
	if c.Timeout == 0 {
		c.Timeout = defaultDialTimeout
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
		cfg.Password = strings.TrimRight(string(b), "\r\n")
	}
	var err error
	if cfg.TLS, err = clientTLS(c); err != nil {
		return nil, err
	}
	client, err := clientv3.New(cfg)
	if err == nil {
		if err = probe(client, c.Timeout); err == nil {
			return client, nil
		}
		err = errors.Join(err, client.Close())
	}
	return nil, fmt.Errorf("connecting to etcd at %s: %w", strings.Join(c.Endpoints, ", "), err)
}

// probe asks for anything: whether this user may read it does not matter. It
// goes round etcd's client, which tries again until the time is up and then
// does not say why.
func probe(client *Client, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	kv := etcdserverpb.NewKVClient(client.ActiveConnection())
	_, err := kv.Range(ctx, &etcdserverpb.RangeRequest{Key: []byte(DefaultPrefix), CountOnly: true})
	if passing(err) {
		return err
	}
	return nil
}

// clientTLS is nil when nothing is configured: the endpoints' scheme decides then.
func clientTLS(c DialConfig) (*tls.Config, error) {
	if c.CAFile == "" && c.CertFile == "" && c.KeyFile == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading etcd's CA: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading etcd's CA: no PEM certificate in %s", c.CAFile)
		}
	}
	if c.CertFile != "" || c.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("loading the client certificate for etcd: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}
