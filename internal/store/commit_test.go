package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

func secret(version, contentType string) *model.ItemVersion {
	return &model.ItemVersion{ItemKind: model.Secrets, Vault: "kv", Name: "s", Version: version, ContentType: contentType}
}

func TestOnlyOneOfManyWins(t *testing.T) {
	etcd := storetest.Etcd(t)
	stores := []*store.Store{storetest.On(t, etcd), storetest.On(t, etcd)}
	rev := put(t, stores[0], app("a", "p"))
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := stores[i%2].Put(t.Context(), app("a", fmt.Sprint(i)), rev)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d writers won, want 1", won.Load())
	}
}

// Whoever loses a race sees at once what it lost to.
func TestLoserSeesTheWinner(t *testing.T) {
	etcd := storetest.Etcd(t)
	one, two := storetest.On(t, etcd), storetest.On(t, etcd)
	for i := range 20 {
		a := app(fmt.Sprint(i), "p")
		rev := put(t, one, a)
		if _, err := two.Put(t.Context(), a, 0); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("Put = %v, want ErrConflict", err)
		}
		if e := view(t, two).Get(a.Key()); e == nil || e.Rev != rev {
			t.Fatalf("after losing, the View shows %v", e)
		}
	}
}

func TestFullCommit(t *testing.T) {
	s := storetest.New(t)
	var ops, deletes []store.Op
	for i := range store.MaxOps {
		op := store.Op{Value: secret(fmt.Sprint(i), ""), Blob: []byte{byte(i)}}
		ops, deletes = append(ops, op), append(deletes, store.Op{Key: op.Value.Key(), Rev: store.Any})
	}
	if _, err := s.Commit(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	if got := view(t, s).Len(); got != store.MaxOps {
		t.Errorf("%d objects, want %d", got, store.MaxOps)
	}
	if _, err := s.Commit(t.Context(), deletes...); err != nil {
		t.Fatal(err)
	}
	if got := fresh(t, s).Len(); got != 0 {
		t.Errorf("%d objects after deleting all", got)
	}
	if _, err := s.Commit(t.Context(), append(ops, store.Op{Value: secret("one-more", "")})...); err == nil {
		t.Error("a Commit over the limit succeeded")
	}
}

func TestCommitRefuses(t *testing.T) {
	s := storetest.New(t)
	for name, op := range map[string]store.Op{
		"no-key":          {},
		"key-without-/":   {Key: "x", Rev: store.Any},
		"other-key":       {Key: "/x", Value: app("a", "p")},
		"blob-of-nothing": {Key: "/x", Blob: []byte("b")},
		"written-tree":    {Value: app("a", "p"), Tree: true},
		"check-alone":     {Key: "/x", Rev: 1, Check: true},
		"check-of-none":   {Key: "/x", Check: true},
		"check-of-any":    {Key: "/x", Rev: store.Any, Check: true},
		"written-check":   {Value: app("a", "p"), Rev: 1, Check: true},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Commit(t.Context(), op); err == nil {
				t.Error("Commit succeeded")
			}
		})
	}
	if _, err := s.Commit(t.Context()); err == nil {
		t.Error("Commit of nothing succeeded")
	}
	big := store.Op{Value: secret("v", ""), Blob: bytes.Repeat([]byte("x"), 3<<20)}
	if _, err := s.Commit(t.Context(), big); apierr.KindOf(err) != apierr.TooLarge {
		t.Errorf("Commit of 3 MiB = %v, want TooLarge", err)
	}
	if got := fresh(t, s).Len(); got != 0 {
		t.Errorf("%d objects were written", got)
	}
}

// A check holds a commit to what it does not write.
func TestCheck(t *testing.T) {
	s := storetest.New(t)
	parent, child := app("parent", "p"), secret("v", "")
	rev, err := s.Put(t.Context(), parent, 0)
	if err != nil {
		t.Fatal(err)
	}
	check := store.Op{Key: parent.Key(), Rev: rev, Check: true}
	if _, err := s.Commit(t.Context(), check, store.Op{Value: child}); err != nil {
		t.Fatal(err)
	}
	if got := fresh(t, s).Get(parent.Key()).Rev; got != rev {
		t.Errorf("the checked object is at revision %d, was at %d", got, rev)
	}
	if _, err := s.Put(t.Context(), parent, rev); err != nil {
		t.Fatal(err)
	}
	for range 2 { // changed, then gone
		if _, err := s.Commit(t.Context(), check, store.Op{Value: child, Rev: store.Any}); !errors.Is(err, store.ErrConflict) {
			t.Errorf("Commit = %v, want a conflict", err)
		}
		if err := s.Delete(t.Context(), parent.Key(), store.Any); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeletingWhatIsNotThere(t *testing.T) {
	s := storetest.New(t)
	if err := s.Delete(t.Context(), "/nothing", store.Any); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), "/nothing", 7); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Delete at a revision = %v, want ErrConflict", err)
	}
}

// The View keeps what was written, whatever the caller then does with its object.
func TestCallerMayReuseItsObject(t *testing.T) {
	s := storetest.New(t)
	a := app("a", "p")
	put(t, s, a)
	a.PrincipalID = "changed"
	got, _, _ := store.Get[*model.Application](view(t, s), a.Key())
	if got.PrincipalID != "p" {
		t.Error("the View shares the caller's object")
	}
}

func TestCreateRevOutlivesUpdates(t *testing.T) {
	etcd := storetest.Etcd(t)
	one, two := storetest.On(t, etcd), storetest.On(t, etcd)
	created := put(t, one, app("a", "p"))
	updated := put(t, one, app("a", "q"))
	for _, s := range []*store.Store{one, two} {
		e := fresh(t, s).Get(app("a", "").Key())
		if e.CreateRev != created || e.Rev != updated {
			t.Errorf("created at %d, changed at %d; want %d, %d", e.CreateRev, e.Rev, created, updated)
		}
	}
	if err := one.Delete(t.Context(), app("a", "").Key(), updated); err != nil {
		t.Fatal(err)
	}
	again := put(t, one, app("a", "r"))
	if e := view(t, one).Get(app("a", "").Key()); e.CreateRev != again {
		t.Errorf("created again at %d, want %d", e.CreateRev, again)
	}
}

func TestLostWrite(t *testing.T) {
	f := newFaulty(storetest.Etcd(t))
	s := storetest.On(t, f.client)
	lost := error(context.DeadlineExceeded)

	f.lostWrite.Store(&lost)
	_, err := s.Put(t.Context(), app("not-written", "p"), 0)
	if apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("Put = %v, want Unavailable", err)
	}
	f.lostWrite.Store(nil)

	f.lostAnswer.Store(&lost)
	_, err = s.Put(t.Context(), app("written", "p"), 0)
	if apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("Put = %v, want Unavailable", err)
	}
	f.lostAnswer.Store(nil)

	v := fresh(t, s)
	if v.Get(app("not-written", "").Key()) != nil {
		t.Error("the write that did not arrive is shown")
	}
	if v.Get(app("written", "").Key()) == nil {
		t.Error("the write whose answer was lost is not shown")
	}
}

func TestBlobs(t *testing.T) {
	etcd := storetest.Etcd(t)
	one, two := storetest.On(t, etcd), storetest.On(t, etcd)
	key := secret("v", "").Key()
	want := func(s *store.Store, want string) {
		t.Helper()
		e := fresh(t, s).Get(key)
		for range 2 { // from etcd, from memory
			b, err := s.Blob(t.Context(), e)
			if err != nil || string(b) != want {
				t.Fatalf("Blob = %q, %v; want %q", b, err, want)
			}
		}
	}
	commit := func(op store.Op) {
		t.Helper()
		if _, err := one.Commit(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	commit(store.Op{Value: secret("v", ""), Blob: []byte("first")})
	want(one, "first")
	want(two, "first")
	commit(store.Op{Value: secret("v", "text/plain"), Rev: store.Any}) // attributes only
	want(one, "first")
	want(two, "first")
	commit(store.Op{Value: secret("v", ""), Blob: []byte("second"), Rev: store.Any})
	want(one, "second")
	want(two, "second")
	old := fresh(t, two).Get(key)
	commit(store.Op{Key: key, Rev: store.Any})
	fresh(t, two)
	if b, err := two.Blob(t.Context(), old); err != nil || b != nil {
		t.Errorf("the blob of a deleted entry = %q, %v; want nil", b, err)
	}
	commit(store.Op{Value: secret("v", "")}) // the blob went with its object
	want(one, "")
	commit(store.Op{Value: secret("v", ""), Blob: []byte{}, Rev: store.Any})
	if b, err := one.Blob(t.Context(), fresh(t, one).Get(key)); err != nil || b == nil || len(b) > 0 {
		t.Errorf("an empty blob = %v, %v; want empty, not nil", b, err)
	}
}

func TestErrorsShowNoKeys(t *testing.T) {
	s := storetest.New(t)
	a := app("very-private", "p")
	put(t, s, a)
	_, err := s.Put(t.Context(), a, 0)
	if strings.Contains(apierr.Detail(err), "private") {
		t.Errorf("the caller reads %q", apierr.Detail(err))
	}
}

func BenchmarkCommit(b *testing.B) {
	s := storetest.New(b)
	for i := 0; b.Loop(); i++ {
		put(b, s, app(fmt.Sprint(i), "p"))
	}
}
