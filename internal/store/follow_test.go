package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

func put(t testing.TB, s *store.Store, objects ...model.Object) (rev int64) {
	t.Helper()
	for _, o := range objects {
		var err error
		if rev, err = s.Put(t.Context(), o, store.Any); err != nil {
			t.Fatal(err)
		}
	}
	return rev
}

func fresh(t testing.TB, s *store.Store) *store.View {
	t.Helper()
	v, err := s.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWorksWithoutRun(t *testing.T) {
	etcd := storetest.Etcd(t)
	one, err := store.Open(t.Context(), store.Config{Client: etcd})
	if err != nil {
		t.Fatal(err)
	}
	two, err := store.Open(t.Context(), store.Config{Client: etcd})
	if err != nil {
		t.Fatal(err)
	}
	put(t, one, app("a", "p"))
	put(t, two, app("b", "p")) // has to catch up with one's write first
	if v := fresh(t, one); v.Len() != 2 {
		t.Errorf("the first store has %d objects, want 2", v.Len())
	}
}

func TestLoadsAgainAfterCompaction(t *testing.T) {
	etcd := storetest.Etcd(t)
	f := newFaulty(etcd)
	here, there := storetest.On(t, f.client), storetest.On(t, etcd)
	put(t, there, app("kept", "p"), app("gone", "p"), app("changed", "old"))
	before := fresh(t, here)
	kept := before.Get(app("kept", "").Key())

	mend := f.cutWatch()
	put(t, there, app("changed", "new"), app("new", "p"))
	if err := there.Delete(t.Context(), app("gone", "").Key(), store.Any); err != nil {
		t.Fatal(err)
	}
	rev := put(t, there, app("last", "p"))
	if _, err := etcd.Compact(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	mend()

	v := fresh(t, here)
	if v.Rev() < rev || v.Len() != 4 {
		t.Errorf("the View has %d objects at revision %d, want 4 at %d", v.Len(), v.Rev(), rev)
	}
	if v.First(model.PrincipalIndex("old")) != nil || v.First(model.PrincipalIndex("new")) == nil {
		t.Error("the index did not follow a change that was compacted away")
	}
	if v.Get(kept.Key) != kept {
		t.Error("an object that did not change was loaded again")
	}
	put(t, there, app("after", "p"))
	if got := fresh(t, here).Len(); got != 5 {
		t.Errorf("%d objects after the next write, want 5: the watch does not run again", got)
	}
}

func TestResumesACutWatch(t *testing.T) {
	etcd := storetest.Etcd(t)
	f := newFaulty(etcd)
	here, there := storetest.On(t, f.client), storetest.On(t, etcd)
	for i := range 3 {
		mend := f.cutWatch()
		put(t, there, app(fmt.Sprint(i), "p"))
		mend()
		if got := fresh(t, here).Len(); got != i+1 {
			t.Errorf("%d objects after cut %d", got, i)
		}
	}
}

// A transaction's writes are seen together: whoever sees one sees all.
func TestTransactionsAppearWhole(t *testing.T) {
	etcd := storetest.Etcd(t)
	here, there := storetest.On(t, etcd), storetest.On(t, etcd)
	const rounds, width = 100, 20
	written := make(chan error, 1)
	go func() {
		for i := range rounds {
			var ops []store.Op
			for j := range width {
				ops = append(ops, store.Op{Value: app(fmt.Sprint(j), fmt.Sprint(i)), Rev: store.Any})
			}
			if _, err := there.Commit(t.Context(), ops...); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	last := int64(0)
	for done := false; !done; {
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
		v := view(t, here)
		if v.Rev() < last {
			t.Fatalf("the View went back from revision %d to %d", last, v.Rev())
		}
		last = v.Rev()
		seen := map[string]bool{}
		for e := range v.Prefix("/applications/", "") {
			seen[e.Value.(*model.Application).PrincipalID] = true
		}
		if len(seen) > 1 || v.Len()%width != 0 {
			t.Fatalf("revision %d shows %d objects of transactions %v", v.Rev(), v.Len(), seen)
		}
	}
}

// In an etcd that is shared, other programs' writes move the revision on.
func TestFreshInASharedEtcd(t *testing.T) {
	etcd := storetest.Etcd(t)
	s := storetest.On(t, etcd)
	for range 3 {
		resp, err := etcd.Put(t.Context(), "/another/program", "x")
		if err != nil {
			t.Fatal(err)
		}
		if v := fresh(t, s); v.Rev() < resp.Header.Revision {
			t.Errorf("Fresh is at revision %d, want %d", v.Rev(), resp.Header.Revision)
		}
	}
	put(t, s, app("a", "p"))
	other := storetest.With(t, store.Config{Client: etcd, Prefix: "/another/lanyard"})
	if v := fresh(t, other); v.Len() != 0 {
		t.Errorf("another prefix shows %d objects", v.Len())
	}
}

// Before Run has begun, who waits follows etcd by itself: then, too, another program's
// write is no change that the watch tells of.
func TestFreshInASharedEtcdWithoutRun(t *testing.T) {
	etcd := storetest.Etcd(t)
	s, err := store.Open(t.Context(), store.Config{Client: etcd})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := etcd.Put(t.Context(), "/another/program", "x")
	if err != nil {
		t.Fatal(err)
	}
	if v := fresh(t, s); v.Rev() < resp.Header.Revision {
		t.Errorf("Fresh is at revision %d, want %d", v.Rev(), resp.Header.Revision)
	}
}

func TestViewEndsWhenOutOfTouch(t *testing.T) {
	f := newFaulty(storetest.Etcd(t))
	var offset atomic.Int64
	s, err := store.Open(t.Context(), store.Config{
		Client: f.client, MaxStale: time.Minute,
		Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, app("a", "p"))
	down := errors.New("etcd is away")
	f.getFails.Store(&down)
	offset.Store(int64(50 * time.Second))
	view(t, s)
	offset.Store(int64(70 * time.Second))
	if _, err := s.View(); apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("View after 70 s without etcd = %v, want Unavailable", err)
	}
	if _, err := s.Fresh(t.Context()); err == nil {
		t.Error("Fresh without etcd succeeded")
	}
	f.getFails.Store(nil)
	fresh(t, s)
	view(t, s)
}

func TestRunRefusesWhatItCannotRead(t *testing.T) {
	for name, value := range map[string]string{
		"newer-version": `{"v":99,"kind":"Application","data":{"appId":"x"}}`,
		"newer-kind":    `{"v":1,"kind":"Hologram","data":{}}`,
		"no-json":       `x`,
		"moved":         `{"v":1,"kind":"Application","data":{"appId":"y"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			etcd := storetest.Etcd(t)
			s, err := store.Open(t.Context(), store.Config{Client: etcd})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- s.Run(t.Context()) }()
			if _, err := etcd.Put(t.Context(), "/lanyard/o/applications/x", value); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err == nil {
				t.Error("Run = nil, want an error")
			}
			if _, err := store.Open(t.Context(), store.Config{Client: etcd}); err == nil {
				t.Error("Open = nil, want an error")
			}
		})
	}
}

func TestOpenRefusesANewerFormat(t *testing.T) {
	etcd := storetest.Etcd(t)
	for value, newer := range map[string]bool{"2": true, "nonsense": false} {
		if _, err := etcd.Put(t.Context(), "/lanyard/format", value); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), store.Config{Client: etcd})
		if err == nil || errors.Is(err, model.ErrNewer) != newer {
			t.Errorf("Open with format %q = %v", value, err)
		}
	}
}

// rewound answers as an etcd that was restored from an old backup.
type rewound struct{ clientv3.KV }

func (r rewound) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	resp, err := r.KV.Get(ctx, key, opts...)
	if err == nil {
		resp.Header.Revision = 1
	}
	return resp, err
}

func TestEtcdThatWentBackInTime(t *testing.T) {
	f := newFaulty(storetest.Etcd(t))
	s, err := store.Open(t.Context(), store.Config{Client: f.client, MaxStale: 60 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, app("a", "p"))
	f.client.KV = rewound{f.client.KV}
	if _, err := s.Fresh(t.Context()); apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("Fresh = %v, want Unavailable", err)
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("Run goes on with an etcd that lost writes")
	}
}

func TestStoreThatTakesLongToLoad(t *testing.T) {
	etcd := storetest.Etcd(t)
	put(t, storetest.On(t, etcd), app("a", "p"))
	var asked atomic.Int32
	start := time.Now()
	s, err := store.Open(t.Context(), store.Config{Client: etcd, Sole: true, Now: func() time.Time {
		if asked.Add(1) <= 2 { // until loading begins
			return start
		}
		return start.Add(time.Hour)
	}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.View()
	if err != nil {
		t.Fatalf("View = %v, though it was loaded a moment ago", err)
	}
	if v.Get(app("a", "p").Key()) == nil {
		t.Error("what was there is missing")
	}
}

// An object that cannot be read may be a role that was taken away: the server stops,
// and does not start again.
func TestObjectThatCannotBeRead(t *testing.T) {
	etcd := storetest.Etcd(t)
	s, err := store.Open(t.Context(), store.Config{Client: etcd})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	if _, err := etcd.Put(t.Context(), "/lanyard/o/garbage", "garbage"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("Run = %v, want that an object cannot be read", err)
	}
	if _, err := store.Open(t.Context(), store.Config{Client: etcd}); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("Open = %v, want that an object cannot be read", err)
	}
}
