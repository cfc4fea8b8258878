// Package embedded runs an etcd inside the process. It is the only importer of
// the etcd server.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for Start.
type Config struct {
	Dir   string // of the data; made 0700
	Log   *slog.Logger
	Quota int64 // bytes of the database; default 4 GiB
	// NoSync does not wait for the disk: for tests. A crash of the machine loses data.
	NoSync bool
}

// Server is a running etcd of one member.
type Server struct {
	etcd    *embed.Etcd
	client  *clientv3.Client
	log     *slog.Logger
	quota   int64
	sockets string
	lock    *os.File
}

const (
	defaultQuota = 4 << 30
	maxRequest   = 2 << 20
	startTimeout = 30 * time.Second
	// A single member elects itself: short ticks only make the start fast.
	tickMs, electionMs = 10, 50
	lockName           = "lanyard.lock"
)

// Start starts etcd and waits until it takes writes. It listens on unix sockets
// only, never on a network address. A second process on the same Dir is
// refused at once, with a sentence that says so.
func Start(ctx context.Context, c Config) (s *Server, err error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Quota == 0 {
		c.Quota = defaultQuota
	}
	s = &Server{log: c.Log, quota: c.Quota}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the store's directory: %w", err)
	}
	if s.lock, err = lockDir(c.Dir); err != nil {
		return nil, err
	}
	// A socket's path is at most 108 bytes long, a data directory's is not.
	if s.sockets, err = os.MkdirTemp("", "lanyard-"); err != nil {
		return nil, fmt.Errorf("making a directory for sockets: %w", err)
	}
	if s.etcd, err = embed.StartEtcd(s.config(c)); err != nil {
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-s.etcd.Server.ReadyNotify():
	case err := <-s.etcd.Err():
		return nil, fmt.Errorf("starting etcd: %w", err)
	case <-ctx.Done():
		return nil, fmt.Errorf("etcd did not start in time: %w", ctx.Err())
	}
	s.client = v3client.New(s.etcd.Server)
	return s, nil
}

func (s *Server) config(c Config) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name = "lanyard"
	cfg.Dir = filepath.Join(c.Dir, "member.etcd")
	client := url.URL{Scheme: "unix", Path: filepath.Join(s.sockets, "client")}
	peer := url.URL{Scheme: "unix", Path: filepath.Join(s.sockets, "peer")}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs, cfg.ElectionMs = tickMs, electionMs
	cfg.QuotaBackendBytes = c.Quota
	cfg.MaxRequestBytes = maxRequest
	cfg.SnapshotCount = 10_000 // entries kept in memory between two raft snapshots
	cfg.UnsafeNoFsync = c.NoSync
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapTo(c.Log))
	return cfg
}

// lockDir keeps a second process out: etcd's own lock would wait for ever.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the store: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("the store in %s is in use by another lanyard: stop that one, or use another data directory", dir)
	}
	return f, nil
}

// Client talks to the server in-process. Close closes it too.
func (s *Server) Client() *store.Client { return s.client }

// Run waits until ctx ends or the server fails; it also defragments when much
// of the file is free.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(defragEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.etcd.Err():
			return fmt.Errorf("etcd stopped: %w", err)
		case <-s.etcd.Server.StopNotify():
			return errors.New("etcd stopped")
		case <-tick.C:
			s.defragment(ctx)
		}
	}
}

const (
	defragEvery   = time.Hour
	defragMinFree = 64 << 20
)

// defragment gives free pages back when they are most of a large file; it
// stops writes for as long as it takes to copy what is left.
func (s *Server) defragment(ctx context.Context) {
	b := s.etcd.Server.Backend()
	size, used := b.Size(), b.SizeInUse()
	if free := size - used; free < defragMinFree || free < size/2 {
		return
	}
	if err := b.Defrag(); err != nil {
		s.log.ErrorContext(ctx, "cannot defragment the store", "error", err)
		return
	}
	s.log.InfoContext(ctx, "defragmented the store", "before", size, "after", b.Size())
}

// Close stops the server; all that was committed is on disk.
func (s *Server) Close() error {
	var faults []error
	if s.client != nil {
		if err := s.client.Close(); !errors.Is(err, context.Canceled) { // its way to say closed
			faults = append(faults, err)
		}
	}
	if s.etcd != nil {
		s.etcd.Close()
	}
	if s.sockets != "" {
		faults = append(faults, os.RemoveAll(s.sockets))
	}
	if s.lock != nil {
		faults = append(faults, s.lock.Close())
	}
	return errors.Join(faults...)
}
