// Package managetest runs a real server for the tests of what manages one.
package managetest

import (
	"cmp"
	"context"
	"crypto/x509"
	"os"
	"testing"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/server"
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
	pem, err := os.ReadFile(dir.CA())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	signedIn, err := client.New(client.Config{
		Names: s.Names().Own(), Roots: roots, Dial: s.State().Listen, TenantID: admin.TenantID, SubscriptionID: admin.SubscriptionID,
		ClientID: admin.ClientID, ClientSecret: admin.ClientSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	return manage.New(signedIn)
}
