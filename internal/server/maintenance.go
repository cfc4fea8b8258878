package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/embedded"
)

// KeyFile is the default place of the key-encryption key.
func (d Dir) KeyFile() string { return filepath.Join(string(d), keyFileName) }

// Snapshot writes the whole store to a file, whether its server runs or not.
func Snapshot(ctx context.Context, c Config, path string) error {
	return withStore(ctx, c, func(client *store.Client) error { return store.Snapshot(ctx, client, path) })
}

// SnapshotTo is Snapshot into a pipe: whoever restores it finds out if it is cut short.
func SnapshotTo(ctx context.Context, c Config, w io.Writer) error {
	return withStore(ctx, c, func(client *store.Client) error { return store.SnapshotTo(ctx, client, w) })
}

// withStore lets do have etcd's client, whether the server runs or not.
func withStore(ctx context.Context, c Config, do func(*store.Client) error) error {
	c = c.withDefaults()
	if len(c.Etcd.Endpoints) == 0 {
		endpoint, running, err := embedded.Endpoint(c.path(etcdDirName))
		if err != nil {
			return err
		}
		if running {
			c.Etcd.Endpoints = []string{endpoint}
		} else if _, err := os.Stat(c.path(etcdDirName)); err != nil {
			return fmt.Errorf("no store in %s", c.DataDir)
		}
	}
	b, err := OpenBackend(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(do(b.client), b.Close())
}

// Restore makes the store of a new data directory from a snapshot file.
func Restore(ctx context.Context, dataDir, snapshot string) error {
	c := Config{DataDir: dataDir}.withDefaults()
	if _, err := os.Stat(c.path(etcdDirName)); err == nil {
		return fmt.Errorf("%s holds a store already: restore into a new directory", dataDir)
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return err
	}
	if err := embedded.Restore(ctx, snapshot, c.path(etcdDirName)); err != nil {
		return err
	}
	return c.forgetServed() // it was told to go back
}

// RestoreFrom is Restore for a snapshot that comes as a stream. It is kept in the data
// directory meanwhile, which has room for it.
func RestoreFrom(ctx context.Context, dataDir string, snapshot io.Reader) (err error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dataDir, "restore.*") // made 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = io.Copy(f, snapshot)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reading the snapshot: %w", err)
	}
	return Restore(ctx, dataDir, f.Name())
}

// Copy copies the embedded store of a stopped server to c's external etcd, under
// c's prefix, where nothing may be yet. fromPrefix is that of the embedded one.
func Copy(ctx context.Context, c Config, fromPrefix string, progress func(keys int)) (err error) {
	c = c.withDefaults()
	if len(c.Etcd.Endpoints) == 0 {
		return errors.New("where to copy the store to is not set: --etcd-endpoints")
	}
	if _, err := os.Stat(c.path(etcdDirName)); err != nil {
		return fmt.Errorf("no store in %s", c.DataDir)
	}
	last, err := c.readServed()
	if err != nil {
		return err
	}
	from, err := OpenBackend(ctx, Config{DataDir: c.DataDir, Prefix: fromPrefix, Log: c.Log, existing: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if last != nil {
		has, err := from.Store.HasMark(ctx, last.Mark)
		if err != nil {
			return err
		}
		if !has {
			return fmt.Errorf("the store in %s is older than the one that it served last, in %s: there is nothing in it to copy", c.DataDir, last.Place)
		}
	}
	to, err := store.Dial(c.Etcd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return from.Store.Copy(ctx, to, c.Prefix, progress)
}

// openSealed opens the store of a stopped server, or an external one, with its
// sealer; run does the work while the store is kept current.
func openSealed(ctx context.Context, c Config, run func(context.Context, *Backend) error) (err error) {
	c = c.withDefaults()
	if _, statErr := os.Stat(c.path(etcdDirName)); statErr != nil && len(c.Etcd.Endpoints) == 0 {
		return fmt.Errorf("no store in %s", c.DataDir)
	}
	b, err := OpenBackend(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	v, err := b.Store.Fresh(ctx)
	if err != nil {
		return err
	}
	ks, _, ok := store.Get[*model.Keyset](v, model.KeysetKey)
	if !ok {
		return errors.New("the store has no keyset: has a server ever run on it?")
	}
	if b.Sealer, err = c.openSealer(ctx, ks); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	err = run(ctx, b)
	stop()
	return errors.Join(err, <-done)
}

// settle is how long the other servers have to load a rotated keyset before
// anything is sealed with it.
const settle = 3 * keysetPoll

// RotateDataKey makes a new data key and seals everything with it. progress may
// be nil. It can be cut off and run again.
func RotateDataKey(ctx context.Context, c Config, progress func(done, all int)) (sealed int, err error) {
	if progress == nil {
		progress = func(int, int) {}
	}
	err = openSealed(ctx, c, func(ctx context.Context, b *Backend) error {
		if err := b.rotateKeyset(ctx); err != nil {
			return err
		}
		if b.etcd == nil {
			select {
			case <-time.After(settle):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		sealed, err = b.resealAll(ctx, progress)
		return err
	})
	return sealed, err
}

// rotateKeyset stores a keyset with a new primary key, and takes it into use.
func (b *Backend) rotateKeyset(ctx context.Context) error {
	next, err := b.Sealer.Rotated()
	if err != nil {
		return err
	}
	wrapped, err := next.Wrap(ctx)
	if err != nil {
		return err
	}
	v, err := b.Store.Fresh(ctx)
	if err != nil {
		return err
	}
	_, rev, _ := store.Get[*model.Keyset](v, model.KeysetKey)
	if _, err := b.Store.Put(ctx, &model.Keyset{Wrapped: wrapped}, rev); err != nil {
		return fmt.Errorf("storing the new data key: %w", err)
	}
	return b.Sealer.Load(ctx, wrapped)
}

// resealAll seals every value that an older key sealed.
func (b *Backend) resealAll(ctx context.Context, progress func(done, all int)) (int, error) {
	v, err := b.Store.Fresh(ctx)
	if err != nil {
		return 0, err
	}
	done, all := 0, v.Len()
	progress(done, all)
	for e := range v.Prefix("/", "") {
		if err := b.reseal(ctx, e); err != nil && !errors.Is(err, store.ErrConflict) {
			return done, fmt.Errorf("%s: %w", e.Key, err)
		}
		done++
		if done%100 == 0 || done == all {
			progress(done, all)
		}
	}
	return done, nil
}

// reseal writes one object again if an older key sealed any of it. Somebody who
// changes it meanwhile seals it with the new key anyway, so a conflict is fine.
func (b *Backend) reseal(ctx context.Context, e *store.Entry) error {
	switch o := e.Value.(type) {
	case model.SealedOwner:
		changed := false
		next, err := o.Reseal(func(value model.Sealed, name string) (model.Sealed, error) {
			if len(value) == 0 || b.Sealer.Current(value) {
				return value, nil
			}
			changed = true
			return b.sealAgain(value, name)
		})
		if err != nil || !changed {
			return err
		}
		_, err = b.Store.Put(ctx, next, e.Rev)
		return err
	case model.BlobOwner:
		blob, err := b.Store.Blob(ctx, e)
		if err != nil || blob == nil || b.Sealer.Current(blob) {
			return err
		}
		if blob, err = b.sealAgain(blob, e.Key); err != nil {
			return err
		}
		_, err = b.Store.Commit(ctx, store.Op{Value: o, Rev: e.Rev, Blob: blob})
		return err
	}
	return nil
}

// sealAgain seals a value with the newest data key.
func (b *Backend) sealAgain(sealed []byte, name string) ([]byte, error) {
	plain, err := b.Sealer.Open(sealed, name)
	if err != nil {
		return nil, err
	}
	return b.Sealer.Seal(plain, name)
}

// Rekey replaces the key file by a new key and wraps the data keys with it. The
// old key stays in the file until the store has the new wrapping, so that a cut
// at any point leaves a file that opens the store.
func Rekey(ctx context.Context, c Config) (path string, err error) {
	c = c.withDefaults()
	return c.KeyFile, openSealed(ctx, c, func(ctx context.Context, b *Backend) error {
		kek, err := seal.RotateKeyFile(c.KeyFile)
		if err != nil {
			return err
		}
		v, err := b.Store.Fresh(ctx)
		if err != nil {
			return err
		}
		ks, rev, _ := store.Get[*model.Keyset](v, model.KeysetKey)
		s, err := seal.Unwrap(ctx, ks.Wrapped, kek)
		if err != nil {
			return err
		}
		wrapped, err := s.Wrap(ctx)
		if err != nil {
			return err
		}
		if _, err := b.Store.Put(ctx, &model.Keyset{Wrapped: wrapped}, rev); err != nil {
			return fmt.Errorf("storing the keyset: %w", err)
		}
		_, err = seal.DropOldKeys(c.KeyFile)
		return err
	})
}

// purgeEvery is how often deleted vaults are looked at; their retention is days.
const purgeEvery = time.Hour

// purgeVaults purges the vaults whose retention has ended, until ctx ends.
func (s *Server) purgeVaults(ctx context.Context) error {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.arm.PurgeExpired(ctx); err != nil {
			s.c.Log.ErrorContext(ctx, "cannot purge expired vaults", "error", err)
		}
	}
}
