package store_test

import (
	"testing"

	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

// The only writer sees its own writes in Fresh at once, without asking etcd.
func TestSoleWriterReadsItsWritesFromMemory(t *testing.T) {
	s := storetest.With(t, store.Config{Client: storetest.Etcd(t), Sole: true})
	for i := range 100 {
		a := app(string(rune('a'+i)), "p")
		rev, err := s.Put(t.Context(), a, 0)
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.Fresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if v.Rev() < rev || v.Get(a.Key()) == nil {
			t.Fatalf("write %d at revision %d is not in Fresh at %d", i, rev, v.Rev())
		}
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping = %v", err)
	}
}
