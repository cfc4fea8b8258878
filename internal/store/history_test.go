package store_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

func hasMark(t *testing.T, s *store.Store, m store.Mark, want bool) {
	t.Helper()
	if got, err := s.HasMark(t.Context(), m); err != nil || got != want {
		t.Errorf("HasMark(%d) = %v, %v, want %v", m.Count, got, err, want)
	}
}

func TestHistory(t *testing.T) {
	s := storetest.New(t)
	hasMark(t, s, store.Mark{}, true)
	hasMark(t, s, store.Mark{Count: 1, ID: "x"}, false)

	var all sync.Map
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			m, err := s.NewMark(t.Context())
			if _, twice := all.LoadOrStore(m.Count, m); err != nil || twice {
				t.Errorf("mark %d: made twice %v, %v", m.Count, twice, err)
			}
		})
	}
	group.Wait()
	all.Range(func(_, m any) bool {
		hasMark(t, s, m.(store.Mark), true)
		return true
	})
	first, _ := all.Load(int64(1))
	hasMark(t, s, store.Mark{Count: 7, ID: "another"}, false)
	hasMark(t, s, store.Mark{Count: 21, ID: "x"}, false)
	for range 200 {
		if _, err := s.NewMark(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	hasMark(t, s, first.(store.Mark), true) // forgotten
}

func TestCopy(t *testing.T) {
	from, to := storetest.New(t), storetest.Etcd(t)
	for i := range 150 {
		if _, err := from.Put(t.Context(), app(fmt.Sprint("app-", i), fmt.Sprint("principal-", i)), 0); err != nil {
			t.Fatal(err)
		}
	}
	m, err := from.NewMark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	open := func() error {
		_, err := store.Open(t.Context(), store.Config{Client: to, Prefix: "/new"})
		return err
	}

	// What a copy that was cut off leaves is no store, and is replaced.
	for k, v := range map[string]string{"/new/format": "copying", "/new/o/old": "gone later"} {
		if _, err := to.Put(t.Context(), k, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(); err == nil || !strings.Contains(err.Error(), "was cut off: run `lanyard store copy` again") {
		t.Errorf("opening half a copy: %v", err)
	}
	if err := from.Copy(t.Context(), to, "/new/", nil); err != nil {
		t.Fatal(err)
	}
	copied := storetest.With(t, store.Config{Client: to, Prefix: "/new", Existing: true})
	want, _ := from.View()
	got, _ := copied.View()
	if got.Len() != want.Len() || got.Len() != 150 {
		t.Errorf("%d objects of %d", got.Len(), want.Len())
	}
	hasMark(t, copied, m, true)
	if old, err := to.Get(t.Context(), "/new/o/old"); err != nil || old.Count != 0 {
		t.Errorf("what was there before: %v, %v", old, err)
	}
	if err := from.Copy(t.Context(), to, "/new", nil); err == nil || !strings.Contains(err.Error(), "something under /new/ already") {
		t.Errorf("copying over a store: %v", err)
	}
	if _, err := store.Open(t.Context(), store.Config{Client: to, Prefix: "/none", Existing: true}); err == nil {
		t.Error("a store that must exist was begun")
	}
	if all, err := to.Get(t.Context(), "/none", clientv3.WithPrefix()); err != nil || all.Count != 0 {
		t.Errorf("it left %v, %v", all, err)
	}
}
