package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
)

// cluster is etcd and kube-apiserver, with nothing else: no controller, no node.
type cluster struct {
	dir    string
	binary string
	api    *kubetest.Server
	admin  *http.Client
	kube   *kube.Cluster
}

// measureCluster measures the webhook beside a real API server.
func (b *bench) measureCluster(ctx context.Context) error {
	if os.Getenv(kubetest.Binaries) == "" {
		fmt.Printf("\nNOT MEASURED on a real API server: %s does not name a directory with etcd and kube-apiserver (make bench sets it)\n", kubetest.Binaries)
		return nil
	}
	dir, err := os.MkdirTemp("", "lanyard-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &scope{ctx: ctx, dir: dir}
	defer s.close()
	progress("starting etcd and kube-apiserver")
	c := &cluster{dir: dir, binary: b.binary}
	if err := s.try(func() { c.api = kubetest.Start(s); c.admin = c.api.Client(s) }); err != nil {
		return err
	}
	if c.kube, err = kube.Connect(kube.Config{Kubeconfig: c.api.Kubeconfig}); err != nil {
		return err
	}
	defer c.kube.Close()
	if err := os.WriteFile(c.kubeconfig(), c.api.Kubeconfig, 0o600); err != nil {
		return err
	}
	if err := b.measurePods(ctx, c); err != nil {
		return fmt.Errorf("creating pods: %w", err)
	}
	return b.measureAccounts(ctx, c)
}

func (c *cluster) kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// create posts an object to a collection of the default namespace, and gives
// what the API server made of it.
func (c *cluster) create(ctx context.Context, collection string, object []byte) ([]byte, error) {
	url := c.api.URL + "/api/v1/namespaces/default/" + collection
	return request{method: http.MethodPost, url: url, contentType: "application/json", body: object}.send(ctx, c.admin)
}

// progress says on long work what is being done; the table stays clean.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// scope is to kubetest what a test is: it ends what was started.
type scope struct {
	ctx     context.Context
	dir     string
	cleanup []func()
}

// fatal is what Fatal panics with, for try.
type fatal struct{ error }

// try gives a call to Fatal as an error.
func (s *scope) try(f func()) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case fatal:
			err = v.error
		default:
			panic(v)
		}
	}()
	f()
	return nil
}

func (s *scope) close() {
	for i := len(s.cleanup) - 1; i >= 0; i-- {
		s.cleanup[i]()
	}
}

// Helper implements kubetest.TB.
func (s *scope) Helper() {}

// Context implements kubetest.TB.
func (s *scope) Context() context.Context { return s.ctx }

// TempDir implements kubetest.TB.
func (s *scope) TempDir() string { return s.dir }

// Cleanup implements kubetest.TB.
func (s *scope) Cleanup(f func()) { s.cleanup = append(s.cleanup, f) }

// Skip implements kubetest.TB.
func (s *scope) Skip(args ...any) { s.Fatal(args...) }

// Fatal implements kubetest.TB.
func (s *scope) Fatal(args ...any) { panic(fatal{errors.New(fmt.Sprint(args...))}) }

// Fatalf implements kubetest.TB.
func (s *scope) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }
