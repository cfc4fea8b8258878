package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/egress"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for New. All of it is needed unless it says otherwise.
type Config struct {
	Store *store.Store
	// Sealer seals the clusters' kubeconfigs.
	Sealer *seal.Sealer
	// Installer puts the admission webhook into clusters. Without one, that a
	// cluster is to have it is only remembered.
	Installer *Installer
	Log       *slog.Logger
	Now       func() time.Time
}

// Attached is the attached clusters. Package arm knows it as Clusters, and so does
// package sts.
type Attached struct {
	c     Config
	queue *queue

	mu   sync.Mutex
	open map[string]connection // by cluster key; guarded by mu

	warned sync.Map // key of a cluster: the end of its credential that the log knows of
}

// New checks the configuration.
func New(c Config) (*Attached, error) {
	if c.Store == nil || c.Sealer == nil || c.Log == nil || c.Now == nil {
		return nil, errors.New("cluster: Store, Sealer, Log and Now are needed")
	}
	return &Attached{c: c, queue: newQueue(), open: map[string]connection{}}, nil
}

const (
	// poll is how often every cluster is looked at: how soon a rotated key is known.
	poll = time.Minute
	// maxParallel bounds the clusters whose keys are read at the same time, and those in
	// which work is done.
	maxParallel = 8
)

// Run keeps the keys of attached clusters fresh, and what is in them as it is
// wanted, until ctx ends. Every replica may run it.
func (a *Attached) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.followKeys(ctx) })
	if a.c.Installer != nil {
		g.Go(func() error { return a.doWork(ctx) })
	}
	return g.Wait()
}

// maxWords is how many bytes of a cluster's words are kept.
const maxWords = 2048

// shorten makes words of a cluster fit to keep and to show: its API server may say
// whatever it likes.
func shorten(s string) string { return egress.Printable(s, maxWords) }
