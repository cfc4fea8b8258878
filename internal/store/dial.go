package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// DialConfig says how to reach an external etcd.
type DialConfig struct {
	Endpoints         []string // URLs; unix:// is a socket
	CAFile            string   // PEM; default the system's
	CertFile, KeyFile string   // client certificate, PEM; both or none. Read for each new connection, as CAFile is
	Username          string
	PasswordFile      string        // a newline at its end is not part of the password
	Timeout           time.Duration // of the first answer; default 5 s
	Log               *slog.Logger  // of certificates that cannot be read again; default none
}

// Client is etcd's client, so that others can hold one without importing it.
type Client = clientv3.Client

const defaultDialTimeout = 5 * time.Second

// connectParams bound how long etcd is back and not used: gRPC's own pauses grow
// to two minutes, and it waits 20 seconds for a connection that nobody takes.
func connectParams() grpc.ConnectParams {
	pauses := backoff.DefaultConfig
	pauses.BaseDelay, pauses.MaxDelay = 100*time.Millisecond, 500*time.Millisecond
	return grpc.ConnectParams{Backoff: pauses, MinConnectTimeout: 1500 * time.Millisecond}
}

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
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(connectParams())},
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
	if cfg.TLS != nil && secured(c.Endpoints[0]) {
		files := &fileCredentials{c: c, last: cfg.TLS}
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithTransportCredentials(files))
	}
	client, err := clientv3.New(cfg)
	if err == nil {
		if err = probe(client, c.Timeout); err == nil {
			return client, nil
		}
		err = errors.Join(err, client.Close())
	}
	return nil, fmt.Errorf("connecting to etcd at %s: %s", strings.Join(c.Endpoints, ", "), c.dialError(err))
}

// probe asks all members for anything: whether this user may read it does not
// matter, and one answer is enough.
func probe(client *Client, timeout time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	endpoints := client.Endpoints()
	answers := make(chan error, len(endpoints))
	for _, endpoint := range endpoints {
		go func() { answers <- probeOne(ctx, client, endpoint) }()
	}
	for range endpoints {
		if err = <-answers; !passing(err) {
			return nil
		}
	}
	return err
}

// probeOne goes round etcd's client, which tries again until the time is up and
// then does not say why.
func probeOne(ctx context.Context, client *Client, endpoint string) error {
	conn, err := client.Dial(endpoint)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = etcdserverpb.NewKVClient(conn).Range(ctx, &etcdserverpb.RangeRequest{Key: []byte(DefaultPrefix), CountOnly: true})
	return err
}
