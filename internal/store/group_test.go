package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

// queued starts commits while another is held on its way, so that they go
// together; it returns what each gave. f counts from the held one on.
func queued(t *testing.T, s *store.Store, f *faulty, commits ...[]store.Op) (revs []int64, errs []error) {
	t.Helper()
	hold := make(chan struct{})
	f.hold.Store(&hold)
	f.writes.Store(0)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Put(context.WithoutCancel(t.Context()), app("held", "p"), store.Any); err != nil {
			t.Error(err)
		}
	})
	for f.writes.Load() == 0 {
		runtime.Gosched()
	}
	revs, errs = make([]int64, len(commits)), make([]error, len(commits))
	for i, ops := range commits {
		before := store.Queued(s)
		wg.Go(func() { revs[i], errs[i] = s.Commit(t.Context(), ops...) })
		for store.Queued(s) == before {
			runtime.Gosched()
		}
	}
	f.hold.Store(nil)
	close(hold)
	wg.Wait()
	return revs, errs
}

func TestCommitsGoTogetherAndSucceedAlone(t *testing.T) {
	f := newFaulty(storetest.Etcd(t))
	s := storetest.With(t, store.Config{Client: f.client})
	old := put(t, s, app("old", "p"))
	put(t, s, app("old", "q")) // so that old is no longer its revision

	revs, errs := queued(t, s, f,
		[]store.Op{{Value: secret("1", "")}, {Value: secret("2", ""), Blob: []byte("two")}},
		[]store.Op{{Value: app("old", "r"), Rev: old}}, // loses
		[]store.Op{{Key: app("old", "").Key(), Rev: store.Any}},
		[]store.Op{{Value: app("new", "p")}},
	)
	if errs[0] != nil || !errors.Is(errs[1], store.ErrConflict) || errs[2] != nil || errs[3] != nil {
		t.Errorf("got %v", errs)
	}
	if revs[0] != revs[3] {
		t.Errorf("revisions %v: want the first and the last to be in one transaction", revs)
	}
	// The third writes the same key as the second, so it went later.
	if revs[2] <= revs[3] {
		t.Errorf("revisions %v: want the third to come after the others", revs)
	}
	if got := f.writes.Load(); got != 3 {
		t.Errorf("%d transactions, want 3: the one held, one for three, one for the rest", got)
	}
	v := fresh(t, s)
	if v.Get(app("old", "").Key()) != nil || v.Get(app("new", "").Key()) == nil || v.Get(secret("1", "").Key()) == nil {
		t.Error("the View is not what was committed")
	}
	for _, one := range []model.Object{app("new", ""), secret("2", "")} {
		if e := v.Get(one.Key()); e == nil || e.Rev != revs[0] || e.CreateRev != revs[0] {
			t.Errorf("%s is %+v, want revision %d", one.Key(), e, revs[0])
		}
	}
	// Who lists afresh sees the same.
	other := storetest.With(t, store.Config{Client: f.client})
	if a, b := v.Len(), fresh(t, other).Len(); a != b {
		t.Errorf("%d objects, %d in another replica", a, b)
	}
}

func TestOneThatIsRefusedDoesNotHurtTheOthers(t *testing.T) {
	f := newFaulty(storetest.Etcd(t))
	s := storetest.With(t, store.Config{Client: f.client})
	big := store.Op{Value: secret("big", ""), Blob: bytes.Repeat([]byte("x"), 3<<20)}
	_, errs := queued(t, s, f, []store.Op{{Value: secret("1", "")}}, []store.Op{big}, []store.Op{{Value: secret("2", "")}})
	if errs[0] != nil || apierr.KindOf(errs[1]) != apierr.TooLarge || errs[2] != nil {
		t.Errorf("got %v", errs)
	}
	if v := fresh(t, s); v.Len() != 3 || v.Get(big.Value.Key()) != nil {
		t.Errorf("%d objects, want the held one and two", v.Len())
	}
}

func TestManyQueuedCommits(t *testing.T) {
	f := newFaulty(storetest.Etcd(t))
	s := storetest.With(t, store.Config{Client: f.client})
	var commits [][]store.Op
	for i := range 150 {
		commits = append(commits, []store.Op{{Value: secret(fmt.Sprint(i), ""), Blob: bytes.Repeat([]byte{1}, 20<<10)}})
	}
	commits = append(commits, []store.Op{{Key: model.VersionsKey(model.Secrets, "kv", "gone"), Rev: store.Any, Tree: true}})
	_, errs := queued(t, s, f, commits...)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if got := fresh(t, s).Len(); got != 151 {
		t.Errorf("%d objects, want 151", got)
	}
	// 150 of 20 KiB are over the limit of bytes several times.
	if got := f.writes.Load(); got < 7 || got > 20 {
		t.Errorf("%d transactions", got)
	}
}

func TestLostWriteOfMany(t *testing.T) {
	f := newFaulty(storetest.Etcd(t))
	s := storetest.With(t, store.Config{Client: f.client})
	put(t, s, app("first", "p"))
	lost := context.DeadlineExceeded
	hold := make(chan struct{})
	f.hold.Store(&hold)
	f.writes.Store(0)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, errs[i] = s.Put(t.Context(), secret(fmt.Sprint(i), ""), 0) })
		for f.writes.Load() == 0 || store.Queued(s) < i {
			runtime.Gosched()
		}
	}
	f.lostWrite.Store(&lost)
	f.hold.Store(nil)
	close(hold)
	wg.Wait()
	for _, err := range errs {
		if apierr.KindOf(err) != apierr.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
	}
	f.lostWrite.Store(nil)
	if got := fresh(t, s).Len(); got != 1 {
		t.Errorf("%d objects, want 1", got)
	}
}

// Who gives up while it is still queued has written nothing.
func TestGivingUpInTheQueue(t *testing.T) {
	f := newFaulty(storetest.Etcd(t))
	s := storetest.With(t, store.Config{Client: f.client})
	hold := make(chan struct{})
	f.hold.Store(&hold)
	f.writes.Store(0)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Put(context.WithoutCancel(t.Context()), app("held", "p"), 0); err != nil {
			t.Error(err)
		}
	})
	for f.writes.Load() == 0 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = s.Put(ctx, secret("1", ""), 0)
	}()
	for store.Queued(s) == 0 {
		runtime.Gosched()
	}
	cancel()
	<-done
	if err == nil || store.Queued(s) != 0 {
		t.Errorf("got %v, %d queued", err, store.Queued(s))
	}
	f.hold.Store(nil)
	close(hold)
	wg.Wait()
	if fresh(t, s).Get(secret("1", "").Key()) != nil {
		t.Error("it was written")
	}
}
