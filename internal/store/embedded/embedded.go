package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for Start.
type Config struct {
	Dir   string       // of the data; made 0700
	Log   *slog.Logger // of warnings and errors; default: discard
	Quota int64        // bytes of the database; default 4 GiB
	// NoSync does not wait for the disk: for tests. A crash of the machine loses data.
	NoSync bool
}

// Server is a running etcd of one member.
type Server struct {
	etcd   *embed.Etcd
	client *store.Client
	log    *slog.Logger
	lock   *lock
	// serving is false during a start and a stop.
	serving *atomic.Bool
	full    bool // owned by Run: the quota alarm was logged
	running bool // etcd was started
	dir     string
	fatal   *fatal
}

const (
	defaultQuota = 4 << 30
	maxRequest   = 2 << 20
	maxOps       = 256
	// A start has so long to read what is there, and then to take writes.
	loadTimeout, startTimeout = 10 * time.Minute, 30 * time.Second
	// A single member elects itself: short ticks only make the start fast.
	tickMs, electionMs = 10, 50
	// The log's entries that a start reads into memory, each of up to maxOps writes,
	// and that are kept there. There is no other member to catch up.
	snapshotCount, catchUpEntries = 1_000, 100
)

// The member's own name and address are written into its data. Nobody dials
// the address, so it is one that cannot exist.
const (
	memberName = "lanyard"
	memberURL  = "http://lanyard.invalid:2380"
)

// Start starts etcd and waits until it takes writes. It listens on a unix socket
// only, never on a network address. A second process on the same Dir is
// refused at once, with a sentence that says so.
func Start(ctx context.Context, c Config) (_ *Server, err error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Quota == 0 {
		c.Quota = defaultQuota
	}
	s := &Server{log: c.Log, serving: &atomic.Bool{}, dir: c.Dir, fatal: newFatal()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the store's directory: %w", err)
	}
	if err := os.Chmod(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("closing the store's directory to others: %w", err)
	}
	if s.lock, err = takeLock(c.Dir); err != nil {
		return nil, err
	}
	if err := beginFirst(c.Dir); err != nil {
		return nil, err
	}
	cfg, err := s.config(c)
	if err != nil {
		return nil, err
	}
	if err := checkFiles(c.Dir); err != nil {
		return nil, s.explain(err)
	}
	if err := s.await(ctx, cfg); err != nil {
		return nil, err
	}
	s.client = v3client.New(s.etcd.Server)
	s.serving.Store(true)
	return s, endFirst(c.Dir)
}

// await starts etcd and waits until it takes writes. Until etcd has read its files,
// s.etcd is not ours.
func (s *Server) await(ctx context.Context, cfg *embed.Config) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	started := s.startEtcd(cfg)
	select {
	case err := <-started:
		if err != nil {
			return s.explain(err)
		}
	case <-s.fatal.done:
		return s.explain(s.fatal.err)
	case <-ctx.Done():
		return fmt.Errorf("waiting for etcd to read %s: %w", s.dir, ctx.Err())
	}
	ctx, cancel = context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s.running = true
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case <-s.fatal.done:
		return s.explain(s.fatal.err)
	case err := <-s.etcd.Err():
		return s.explain(err)
	case <-ctx.Done():
		return fmt.Errorf("the store in %s does not take writes after %s: start again, or bring a snapshot back into a new data directory with `lanyard store restore`", s.dir, startTimeout)
	}
}

func (s *Server) config(c Config) (*embed.Config, error) {
	self, err := url.Parse(memberURL)
	if err != nil {
		return nil, err
	}
	client := url.URL{Scheme: "unix", Path: s.lock.socket}
	cfg := embed.NewConfig()
	cfg.Name = memberName
	cfg.Dir = memberDir(c.Dir)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{*self}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.EnableGRPCGateway = false
	cfg.TickMs, cfg.ElectionMs = tickMs, electionMs
	cfg.QuotaBackendBytes = c.Quota
	cfg.MaxRequestBytes = maxRequest
	cfg.MaxTxnOps = maxOps
	cfg.SnapshotCount, cfg.SnapshotCatchUpEntries = snapshotCount, catchUpEntries
	cfg.UnsafeNoFsync = c.NoSync
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapTo(c.Log, s.serving, s.fatal))
	return cfg, nil
}

// memberDir is where etcd keeps its data in our directory.
func memberDir(dir string) string { return filepath.Join(dir, "member.etcd") }

// Client talks to the server in-process. Close closes it too.
func (s *Server) Client() *store.Client { return s.client }

// Close stops the server; all that was committed is on disk.
func (s *Server) Close() error {
	s.serving.Store(false)
	var faults []error
	if s.client != nil {
		if err := s.client.Close(); !errors.Is(err, context.Canceled) { // its way to say closed
			faults = append(faults, err)
		}
	}
	if s.running {
		s.stopEtcd()
	}
	if s.lock != nil {
		faults = append(faults, s.lock.release())
	}
	return errors.Join(faults...)
}
