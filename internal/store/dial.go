package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanyard-io/lanyard/internal/textfile"
)

// DialConfig says how to reach an external etcd.
type DialConfig struct {
	Endpoints         []string // URLs; unix:// is a socket
	CAFile            string   // PEM; default the system's
	CertFile, KeyFile string   // client certificate, PEM; both or none. Read for each new connection, as CAFile is
	Username          string
	PasswordFile      string        // a newline at its end is not part of the password. Read for each sign-in
	Timeout           time.Duration // of the first answer; default 5 s
	Log               *slog.Logger  // of files that cannot be read again; default none
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
	cfg, err := c.client()
	if err != nil {
		return nil, err
	}
	client, err := c.connect(cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd at %s: %s", strings.Join(c.Endpoints, ", "), c.dialError(err))
	}
	return client, nil
}

// client is the parts of etcd's own client.
func (c DialConfig) client() (cfg clientv3.Config, err error) {
	cfg = clientv3.Config{
		Endpoints: c.Endpoints, DialTimeout: c.Timeout, Username: c.Username, Logger: zap.NewNop(),
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(connectParams())},
	}
	if cfg.Password, err = c.password(); err != nil {
		return cfg, err
	}
	if cfg.TLS, err = clientTLS(c); err != nil {
		return cfg, err
	}
	if cfg.TLS != nil && secured(c.Endpoints[0]) {
		files := &fileCredentials{c: c, last: cfg.TLS}
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithTransportCredentials(files))
	}
	return cfg, nil
}

// password is the user's. Without one, etcd's client would not sign in at all.
func (c DialConfig) password() (string, error) {
	if c.Username == "" && c.PasswordFile == "" {
		return "", nil
	}
	if c.Username == "" || c.PasswordFile == "" {
		return "", errors.New("--etcd-user and --etcd-password-file are set both or not at all")
	}
	b, err := textfile.Read(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("reading the etcd password: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", fmt.Errorf("reading the etcd password: %s is empty", c.PasswordFile)
	}
	return password, nil
}

// connect signs in last: etcd's client tries that until the time is up, and then does
// not name the connection's fault.
func (c DialConfig) connect(cfg clientv3.Config) (*Client, error) {
	stranger := cfg
	stranger.Username, stranger.Password = "", ""
	client, err := clientv3.New(stranger)
	if err != nil {
		return nil, err
	}
	err = probe(client, c.Timeout, isEtcd)
	if err == nil && cfg.Username != "" {
		stranger := client
		client, err = clientv3.New(cfg)
		if err == nil {
			client.Auth = &filePassword{Auth: client.Auth, c: c, last: cfg.Password}
		}
		err = errors.Join(err, stranger.Close())
	}
	if err == nil {
		err = probe(client, c.Timeout, isNewEnough)
	}
	if err != nil && client != nil {
		err = errors.Join(err, client.Close())
	}
	return client, err
}

// probe puts a question to all members. One that cannot be reached may come later,
// and one yes is enough, but nobody may say no.
func probe(client *Client, timeout time.Duration, question func(context.Context, *grpc.ClientConn) error) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	endpoints := client.Endpoints()
	answers := make(chan error, len(endpoints))
	for _, endpoint := range endpoints {
		go func() {
			conn, err := client.Dial(endpoint)
			if err == nil {
				err = errors.Join(question(ctx, conn), conn.Close())
			}
			if err != nil && !passing(err) && len(endpoints) > 1 {
				err = fmt.Errorf("%s: %w", endpoint, err)
			}
			answers <- err
		}()
	}
	var enough <-chan time.Time
	for range endpoints {
		select {
		case answer := <-answers:
			switch {
			case answer == nil && enough == nil:
				enough = time.After(hedge)
			case answer != nil && !passing(answer):
				return answer
			case answer != nil:
				err = answer
			}
		case <-enough:
			return nil
		}
	}
	if enough != nil {
		return nil
	}
	return err
}

// isEtcd asks for a key, and does not mind a refusal. It goes round etcd's client, which
// tries again until the time is up and then does not say why.
func isEtcd(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := etcdserverpb.NewKVClient(conn).Range(ctx, &etcdserverpb.RangeRequest{Key: []byte(DefaultPrefix), CountOnly: true})
	return etcdAnswer(err)
}

// etcdAnswer is nil for an answer that only etcd gives. Some of raft's words have no
// code, as while a leader is elected.
func etcdAnswer(err error) error {
	if err == nil || passing(err) {
		return err
	}
	says, _, _ := strings.Cut(status.Convert(err).Message(), "\n")
	if _, ok := rpctypes.Error(err).(rpctypes.EtcdError); ok || code(err) == codes.Unknown && !strings.Contains(says, "HTTP status") {
		return nil
	}
	return fmt.Errorf("%w: it says %.200q", errNotEtcd, says)
}

// oldest is the first etcd that never reports progress before the events. With an older
// one, a server would miss changes and not know it.
// https://github.com/etcd-io/etcd/blob/main/CHANGELOG/CHANGELOG-3.5.md
var oldest = [3]int{3, 5, 13}

// isNewEnough asks for the member's version.
func isNewEnough(ctx context.Context, conn *grpc.ClientConn) error {
	is, err := etcdserverpb.NewMaintenanceClient(conn).Status(ctx, &etcdserverpb.StatusRequest{})
	if errors.Is(rpctypes.Error(err), rpctypes.ErrUserEmpty) {
		return nil // to a stranger, etcd does not tell it; then the store cannot be opened either
	}
	if err != nil {
		return fmt.Errorf("asking for etcd's version: %w", err)
	}
	var v [3]int
	if _, err := fmt.Sscanf(is.Version, "%d.%d.%d", &v[0], &v[1], &v[2]); err != nil || slices.Compare(v[:], oldest[:]) < 0 {
		return fmt.Errorf("%w %s", errOld, is.Version)
	}
	return nil
}
