package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/embedded"
)

// Backend is the store and its etcd: what the server and the offline commands share.
type Backend struct {
	Store  *store.Store
	Sealer *seal.Sealer // nil until opened

	c      Config
	etcd   *embedded.Server // nil when etcd is external
	client *store.Client    // ours to close when etcd is external
}

// OpenBackend starts or dials etcd and loads the store.
func OpenBackend(ctx context.Context, c Config) (_ *Backend, err error) {
	c = c.withDefaults()
	b := &Backend{c: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if c.EtcdQuota < 0 {
		return nil, fmt.Errorf("an etcd quota of %d GiB: give it at least 1", c.EtcdQuota)
	}
	if len(c.Etcd.Endpoints) > 0 {
		if b.client, err = store.Dial(c.Etcd); err != nil {
			return nil, err
		}
	} else {
		if b.etcd, err = embedded.Start(ctx, embedded.Config{Dir: c.path(etcdDirName), Log: c.Log, Quota: int64(c.EtcdQuota) << 30}); err != nil {
			return nil, err
		}
		b.client = b.etcd.Client()
	}
	b.Store, err = store.Open(ctx, store.Config{
		Client: b.client, Prefix: c.Prefix, Log: c.Log, Now: c.Now, Compact: b.etcd != nil, Sole: b.etcd != nil,
		Existing: c.existing, Observe: access.Observe,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	return b, nil
}

// Client is etcd's client.
func (b *Backend) Client() *store.Client { return b.client }

// Run keeps the store's view and the sealer's keys current until ctx ends.
func (b *Backend) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.Store.Run(ctx) })
	if b.etcd != nil {
		g.Go(func() error { return b.etcd.Run(ctx) })
	}
	if b.Sealer != nil {
		g.Go(func() error { return b.followKeyset(ctx) })
	}
	return g.Wait()
}

// keysetPoll is how soon a replica has the data keys that another one rotated to.
const keysetPoll = time.Second

// followKeyset loads the data keys again when another replica changed them.
func (b *Backend) followKeyset(ctx context.Context) error {
	tick := time.NewTicker(keysetPoll)
	defer tick.Stop()
	var seen int64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		v, err := b.Store.View()
		if err != nil {
			continue // out of touch with etcd: the store says so
		}
		ks, rev, ok := store.Get[*model.Keyset](v, model.KeysetKey)
		if !ok || rev == seen {
			continue
		}
		if err := b.Sealer.Load(ctx, ks.Wrapped); err != nil { // tried again: the key file may come later
			b.c.Log.ErrorContext(ctx, "cannot load the rotated data keys", "kek", b.Sealer.KEK(), "error", err)
			continue
		}
		seen = rev
	}
}

// Close stops etcd, or hangs up on it.
func (b *Backend) Close() error {
	switch {
	case b.etcd != nil:
		return b.etcd.Close()
	case b.client != nil:
		return b.client.Close()
	}
	return nil
}
