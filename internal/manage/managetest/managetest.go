// Package managetest runs a real server for the tests of what manages one.
package managetest

import (
	"cmp"
	"context"
	"testing"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/manage/asadmin"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// Config for Start; the zero value is a server with a directory of its own.
type Config struct {
	Dir server.Dir // default a new one
	// Admin is the directory whose credentials are used; default the server's own. The
	// second server of a store has none.
	Admin server.Dir
	Etcd  []string // endpoints; default inside the process
}

// Start runs a server until the test ends, and signs in as its admin.
func Start(t testing.TB, c Config) *manage.Client {
	t.Helper()
	signedIn, err := client.New(Run(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return manage.New(signedIn)
}

// Run is Start without the signing in: for the tests of that.
func Run(t testing.TB, c Config) client.Config {
	t.Helper()
	dir := cmp.Or(c.Dir, server.Dir(t.TempDir()))
	sc := server.Config{DataDir: string(dir), Listen: "127.0.0.1:0", Proxy: "off", Debug: "off"}
	sc.Etcd.Endpoints = c.Etcd
	ctx, stop := context.WithCancel(context.Background())
	s, err := server.New(ctx, sc)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	admin, err := server.ReadAdmin(cmp.Or(c.Admin, dir).AdminFile())
	if err != nil {
		t.Fatal(err)
	}
	roots, err := textfile.Roots(dir.CA())
	if err != nil {
		t.Fatal(err)
	}
	return asadmin.Config(admin, s.Names().Own(), roots, s.State().Listen)
}
