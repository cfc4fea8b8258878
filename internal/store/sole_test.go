package store_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

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

// Nobody asks for Fresh for longer than MaxStale, and the View is still good: Run
// keeps in touch.
func TestSoleWriterStaysInTouch(t *testing.T) {
	var now atomic.Int64
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	s := storetest.With(t, store.Config{
		Client: storetest.Etcd(t), Sole: true, MaxStale: 60 * time.Millisecond, // heartbeats follow it
		Now: clock,
	})
	now.Add(int64(time.Second))
	if _, err := s.View(); err == nil {
		t.Fatal("the View is good although nothing proved it for a second")
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := s.View(); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("View = %v, although etcd is there", err)
		}
		runtime.Gosched()
	}
}
