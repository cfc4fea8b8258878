package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/embedded"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

// A store that takes nothing new can still be emptied, also by deletions that
// write something.
func TestFullStoreTakesDeletions(t *testing.T) {
	etcd, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), NoSync: true, Quota: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	s, err := store.Open(t.Context(), store.Config{Client: etcd.Client()})
	if err != nil {
		t.Fatal(err)
	}
	version := func(i int) *model.ItemVersion {
		return &model.ItemVersion{ItemKind: model.Secrets, Vault: "kv", Name: "s", Version: fmt.Sprint(i)}
	}
	rev := put(t, s, app("kept", "p"), app("gone", "p"))
	n := 0
	for ; err == nil && n < 40; n++ {
		if err = settled(t.Context(), etcd.Client(), int64(n)*20*50<<10); err != nil {
			t.Fatal(err)
		}
		store.Measure(s)
		var ops []store.Op
		for j := range 20 {
			ops = append(ops, store.Op{Value: version(20*n + j), Blob: make([]byte, 50<<10)})
		}
		_, err = s.Commit(t.Context(), ops...)
	}
	if !errors.Is(err, store.ErrFull) || apierr.KindOf(err) != apierr.Unavailable {
		t.Fatalf("write %d = %v, want ErrFull", n, err)
	}
	if r := s.Room(); !r.Full() || r.Size >= r.Quota || s.CheckRoom(t.Context()) == nil {
		t.Fatalf("%+v: want a reserve to be left", r)
	}
	for name, ops := range map[string][]store.Op{
		"create":         {{Value: app("new", "p")}},
		"create-or-set":  {{Value: app("kept", "q"), Rev: store.Any}},
		"another-value":  {{Value: version(0), Rev: view(t, s).Get(version(0).Key()).Rev, Blob: []byte("x")}},
		"new-and-change": {{Value: app("new", "p")}, {Value: app("gone", "q"), Rev: rev}},
	} {
		if _, err := s.Commit(t.Context(), ops...); !errors.Is(err, store.ErrFull) {
			t.Errorf("%s = %v, want ErrFull", name, err)
		}
	}
	gone := view(t, s).Get(app("gone", "").Key())
	for _, ops := range [][]store.Op{
		{{Value: app("gone", "q"), Rev: gone.Rev}},                                       // as when a secret is marked as deleted
		{{Key: gone.Key, Rev: store.Any}, {Value: app("gone-deleted", "p")}},             // as when a vault moves to the deleted ones
		{{Key: app("kept", "").Key(), Rev: store.Any}},                                   // one
		{{Key: model.VersionsKey(model.Secrets, "kv", "s"), Rev: store.Any, Tree: true}}, // many
	} {
		if _, err := s.Commit(t.Context(), ops...); err != nil {
			t.Errorf("%+v in a full store: %v", ops, err)
		}
	}
	if got := fresh(t, s).Len(); got != 1 {
		t.Errorf("%d objects are left, want 1", got)
	}
}

// settled waits until etcd counts what it has been given, which it does ten times a second.
func settled(ctx context.Context, client *store.Client, size int64) error {
	for {
		status, err := client.Status(ctx, "")
		if err != nil || status.DbSize >= size {
			return err
		}
		runtime.Gosched()
	}
}

// A deletion does not share the fate of writes that a full etcd refuses.
func TestDeletionsGoApart(t *testing.T) {
	f := newFaulty(storetest.Etcd(t))
	s := storetest.With(t, store.Config{Client: f.client})
	put(t, s, app("a", "p"), app("b", "p"))
	revs, errs := queued(t, s, f,
		[]store.Op{{Value: app("new", "p")}},
		[]store.Op{{Key: app("a", "").Key(), Rev: store.Any}},
		[]store.Op{{Value: app("newer", "p")}},
		[]store.Op{{Key: app("b", "").Key(), Rev: store.Any}},
	)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if revs[0] != revs[2] || revs[1] != revs[3] || revs[0] == revs[1] {
		t.Errorf("revisions %v: want the writes together, and the deletions", revs)
	}
}
