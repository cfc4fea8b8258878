package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

func app(id, principal string) *model.Application {
	return &model.Application{AppID: id, ObjectID: "o-" + id, PrincipalID: principal}
}

func view(t testing.TB, s *store.Store) *store.View {
	t.Helper()
	v, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCommitComparesAndSwaps(t *testing.T) {
	s := storetest.New(t)
	ctx := t.Context()
	a := app("a", "p1")

	rev, err := s.Put(ctx, a, 0)
	if err != nil {
		t.Fatal(err)
	}
	if e := view(t, s).Get(a.Key()); e == nil || e.Rev != rev {
		t.Fatalf("after Put the View shows %v, want revision %d", e, rev)
	}
	for _, stale := range []int64{0, rev - 1, rev + 1} {
		_, err := s.Put(ctx, app("a", "p2"), stale)
		if !errors.Is(err, store.ErrConflict) || apierr.KindOf(err) != apierr.Conflict {
			t.Errorf("Put at revision %d = %v, want ErrConflict", stale, err)
		}
	}
	if _, err := s.Put(ctx, app("a", "p2"), rev); err != nil {
		t.Fatal(err)
	}
	if got := view(t, s).First(model.PrincipalIndex("p1")); got != nil {
		t.Errorf("the old index entry still finds %v", got.Key)
	}
	if got := view(t, s).First(model.PrincipalIndex("p2")); got == nil {
		t.Error("the new index entry finds nothing")
	}
}

func TestCommitIsAllOrNothing(t *testing.T) {
	s := storetest.New(t)
	if _, err := s.Put(t.Context(), app("taken", "p"), 0); err != nil {
		t.Fatal(err)
	}
	before := view(t, s)
	_, err := s.Commit(t.Context(), store.Op{Value: app("free", "p")}, store.Op{Value: app("taken", "p")})
	if !errors.Is(err, store.ErrConflict) {
		t.Fatalf("Commit = %v, want ErrConflict", err)
	}
	after, err := s.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Rev() != before.Rev() || after.Get(app("free", "p").Key()) != nil {
		t.Error("a refused commit wrote something")
	}
}

func TestTreeDeletesTheTreeOnly(t *testing.T) {
	s := storetest.New(t)
	version := func(name string) store.Op {
		return store.Op{Value: &model.ItemVersion{ItemKind: model.Secrets, Vault: "kv", Name: name, Version: "v1"}, Blob: []byte(name)}
	}
	if _, err := s.Commit(t.Context(), version("a"), version("ab")); err != nil {
		t.Fatal(err)
	}
	keep := view(t, s).Get(model.VersionKey(model.Secrets, "kv", "ab", "v1"))
	gone := view(t, s).Get(model.VersionKey(model.Secrets, "kv", "a", "v1"))
	if _, err := s.Commit(t.Context(), store.Op{Key: model.VersionsKey(model.Secrets, "kv", "a"), Tree: true, Rev: store.Any}); err != nil {
		t.Fatal(err)
	}
	if got := view(t, s).Len(); got != 1 {
		t.Errorf("%d objects are left, want 1", got)
	}
	if b, err := s.Blob(t.Context(), keep); err != nil || string(b) != "ab" {
		t.Errorf("the sibling's blob is %q, %v", b, err)
	}
	if b, err := s.Blob(t.Context(), gone); err != nil || b != nil {
		t.Errorf("the deleted blob is %q, %v", b, err)
	}
}

func TestFreshSeesTheOtherReplica(t *testing.T) {
	etcd := storetest.Etcd(t)
	one, two := storetest.On(t, etcd), storetest.On(t, etcd)
	for i := range 50 {
		a := app(fmt.Sprint(i), "p")
		if _, err := one.Put(t.Context(), a, 0); err != nil {
			t.Fatal(err)
		}
		v, err := two.Fresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if v.Get(a.Key()) == nil {
			t.Fatalf("write %d is not in the other replica's Fresh", i)
		}
	}
}

func BenchmarkFresh(b *testing.B) {
	s := storetest.New(b)
	for b.Loop() {
		if _, err := s.Fresh(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFreshParallel(b *testing.B) {
	s := storetest.New(b)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Fresh(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A store with more objects than one page of a listing has loads whole.
func TestManyObjectsAreLoaded(t *testing.T) {
	const commits, each = 205, 100
	etcd := storetest.Etcd(t)
	one := storetest.On(t, etcd)
	var wg sync.WaitGroup
	for i := range commits {
		wg.Go(func() {
			ops := make([]store.Op, each)
			for n := range ops {
				ops[n] = store.Op{Value: app(fmt.Sprintf("%d-%d", i, n), "p")}
			}
			if _, err := one.Commit(t.Context(), ops...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	loaded := view(t, storetest.On(t, etcd))
	if loaded.Len() != commits*each {
		t.Errorf("%d objects were loaded, want %d", loaded.Len(), commits*each)
	}
	for e := range view(t, one).Prefix("/", "") {
		if got := loaded.Get(e.Key); got == nil || got.Rev != e.Rev || got.CreateRev != e.CreateRev {
			t.Fatalf("%s is %v, want revision %d", e.Key, got, e.Rev)
		}
	}
}
