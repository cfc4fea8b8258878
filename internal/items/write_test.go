package items_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

// newItems is Items on a store, with a key file of its own.
func newItems(t *testing.T, s *store.Store) items.Items {
	t.Helper()
	kek, err := seal.CreateKeyFile(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(kek)
	if err != nil {
		t.Fatal(err)
	}
	return items.Items{Store: s, Sealer: sealer}
}

// Many who write one secret at the same time do not lose to each other: each needs
// about one commit. Without turns, forty need some eight hundred.
func TestWritersTakeTurns(t *testing.T) {
	var commits atomic.Int64
	s := storetest.With(t, store.Config{Client: storetest.Etcd(t), Observe: func(context.Context, *store.View, []store.Op) func() {
		commits.Add(1)
		return nil
	}})
	vault := &model.Vault{Resource: model.Resource{ID: "/vaults/v", Name: "v"}}
	if _, err := s.Put(t.Context(), vault, 0); err != nil {
		t.Fatal(err)
	}
	view, err := s.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	commits.Store(0)
	const writers = 40
	secret := items.Ref{Kind: model.Secrets, Vault: "v", Name: "hot"}
	start := make(chan struct{})
	all, wait := newItems(t, s), sync.WaitGroup{}
	for i := range writers {
		wait.Go(func() {
			<-start
			v := secret.NewVersion(int64(i))
			if _, err := all.Add(t.Context(), view, vault, v, fmt.Append(nil, i)); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wait.Wait()
	if n := commits.Load(); n > 3*writers {
		t.Errorf("%d writers needed %d commits", writers, n)
	}
	if view, err = s.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	versions := 0
	for range view.Prefix(model.VersionsKey(model.Secrets, "v", "hot"), "") {
		versions++
	}
	if versions != writers {
		t.Errorf("%d versions, want %d", versions, writers)
	}
}

// Who was let into a vault writes nothing into the next one of its name, neither a new
// version nor a change of what that one has.
func TestWriterStaysOutOfTheNextVault(t *testing.T) {
	s := storetest.With(t, store.Config{Client: storetest.Etcd(t)})
	all, secret := newItems(t, s), items.Ref{Kind: model.Secrets, Vault: "v", Name: "a"}
	vault := &model.Vault{Resource: model.Resource{ID: "/vaults/v", Name: "v"}}
	fill := func() *store.View {
		t.Helper()
		if _, err := s.Put(t.Context(), vault, 0); err != nil {
			t.Fatal(err)
		}
		view, err := s.Fresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all.Add(t.Context(), view, vault, secret.NewVersion(1), []byte("x")); err != nil {
			t.Fatal(err)
		}
		if view, err = s.Fresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		return view
	}
	entered := fill()
	_, err := s.Commit(t.Context(), store.Op{Key: vault.Key(), Rev: store.Any}, store.Op{Key: model.ContentsKey("v"), Rev: store.Any, Tree: true})
	if err != nil {
		t.Fatal(err)
	}
	before := fill()

	if _, err := all.Add(t.Context(), entered, vault, secret.NewVersion(2), []byte("y")); !errors.Is(err, items.ErrNoVault) {
		t.Errorf("a new version: %v, want %v", err, items.ErrNoVault)
	}
	if _, _, err := all.Update(t.Context(), entered, &secret, func(v *model.ItemVersion) error {
		v.Disabled = true
		return nil
	}); !errors.Is(err, items.ErrNoVault) {
		t.Errorf("a change: %v, want %v", err, items.ErrNoVault)
	}
	after, err := s.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Rev() != before.Rev() {
		t.Error("something was written")
	}
}
