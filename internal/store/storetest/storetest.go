// Package storetest gives every test a real etcd.
package storetest

import (
	"context"
	"testing"

	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/embedded"
)

// New is a Store on an embedded etcd of its own, running until the test ends.
func New(t testing.TB) *store.Store {
	t.Helper()
	return On(t, Etcd(t))
}

// Open is New on a directory. When the test or subtest has ended, the
// directory can be opened again.
func Open(t testing.TB, dir string) *store.Store {
	t.Helper()
	return On(t, start(t, dir))
}

// Etcd is an embedded etcd of its own, running until the test ends.
func Etcd(t testing.TB) *store.Client {
	t.Helper()
	return start(t, t.TempDir())
}

// On is one more replica on an etcd, running until the test ends.
func On(t testing.TB, etcd *store.Client) *store.Store {
	t.Helper()
	return With(t, store.Config{Client: etcd})
}

// With is On with a configuration of the test's own.
func With(t testing.TB, c store.Config) *store.Store {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := store.Open(ctx, c)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// start does not wait for the disk: enough for restarts of the program, if not
// of the machine.
func start(t testing.TB, dir string) *store.Client {
	t.Helper()
	etcd, err := embedded.Start(context.Background(), embedded.Config{Dir: dir, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := etcd.Close(); err != nil {
			t.Error(err)
		}
	})
	return etcd.Client()
}
