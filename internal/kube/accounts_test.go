package kube_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
)

// eventually waits for what another process does in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// background runs until the test ends.
func background(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func account(name, clientID string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata:
  name: %s
  namespace: default
  annotations: {azure.workload.identity/client-id: %q, other: annotation}
`, name, clientID)
}

func watch(t *testing.T, k *kube.Cluster) *kube.Accounts {
	t.Helper()
	return k.WatchAccounts(kube.AccountsConfig{Prefixes: []string{"azure.workload.identity/"}})
}

func testAccounts(t *testing.T, k *kube.Cluster) {
	ctx := t.Context()
	apply(t, k, account("watched", "1"))
	a := watch(t, k)
	if a.Synced() || a.Ready(ctx) == nil {
		t.Error("synced before it ran")
	}
	want := kube.Account{Namespace: "default", Name: "watched", Annotations: map[string]string{"azure.workload.identity/client-id": "1"}}
	got, err := a.Account(ctx, "default", "watched")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read live (-want +got):\n%s", diff)
	}
	if _, err := a.Account(ctx, "default", "nobody"); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}

	background(t, a.Run)
	eventually(t, "synced", a.Synced)
	if err := a.Ready(ctx); err != nil || a.Len() == 0 || a.Heard().IsZero() {
		t.Errorf("Ready = %v, Len = %d, Heard = %v", err, a.Len(), a.Heard())
	}
	if got, err = a.Account(ctx, "default", "watched"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	apply(t, k, account("watched", "2"))
	eventually(t, "the change was heard of", func() bool {
		got, err := a.Account(ctx, "default", "watched")
		return err == nil && got.Annotations["azure.workload.identity/client-id"] == "2"
	})
	// One that was made this moment is found, whether the watch was faster or not.
	apply(t, k, account("new", "3"))
	if got, err = a.Account(ctx, "default", "new"); err != nil || got.Annotations["azure.workload.identity/client-id"] != "3" {
		t.Errorf("new = %v, %v", got, err)
	}
	n := a.Len()
	if _, err := k.Delete(ctx, []byte(account("watched", ""))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deletion was heard of", func() bool { return a.Len() < n || lookup(ctx, a) != nil })
	if err := lookup(ctx, a); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

func lookup(ctx context.Context, a *kube.Accounts) error {
	_, err := a.Account(ctx, "default", "watched")
	return err
}

// testPages has an API server that cannot stream a list, and lists two at a time.
func testPages(t *testing.T, s *kubetest.Server) {
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var pages atomic.Int64
	proxy := &httputil.ReverseProxy{
		Transport: s.Client(t).Transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Del("Authorization") // the transport has a certificate
			if q := r.Out.URL.Query(); q.Get("limit") != "" {
				pages.Add(1)
				q.Set("limit", "2")
				r.Out.URL.RawQuery = q.Encode()
			}
		},
	}
	old := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("sendInitialEvents") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,
				"message":"sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"}`)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(old.Close)
	config, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "old",
		"clusters": []any{map[string]any{"name": "old", "cluster": map[string]any{"server": old.URL, "certificate-authority-data": pem.EncodeToMemory(
			&pem.Block{Type: "CERTIFICATE", Bytes: old.Certificate().Raw})}}},
		"users":    []any{map[string]any{"name": "old", "user": map[string]string{"token": "unused"}}},
		"contexts": []any{map[string]any{"name": "old", "context": map[string]any{"cluster": "old", "user": "old"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	testAccounts(t, connect(t, config))
	if pages.Load() < 2 {
		t.Errorf("asked for %d pages", pages.Load())
	}
}

// testOutage comes last: it stops the API server.
func testOutage(t *testing.T, s *kubetest.Server, k *kube.Cluster) {
	ctx := t.Context()
	apply(t, k, account("survivor", "1"))
	a := watch(t, k)
	background(t, a.Run)
	eventually(t, "synced", a.Synced)

	s.Down()
	if _, err := a.Account(ctx, "default", "survivor"); err != nil {
		t.Errorf("a remembered account during an outage: %v", err)
	}
	if _, err := a.Account(ctx, "default", "unknown"); !errors.Is(err, kube.ErrUnreachable) {
		t.Errorf("an unknown one: %v", err)
	}
	late := watch(t, k)
	background(t, late.Run)
	eventually(t, "why it is not ready", func() bool { return errors.Is(late.Ready(ctx), kube.ErrUnreachable) })

	s.Up(t)
	apply(t, k, account("survivor", "2"))
	for _, a := range []*kube.Accounts{a, late} {
		eventually(t, "what changed after the outage", func() bool {
			got, err := a.Account(ctx, "default", "survivor")
			return err == nil && a.Synced() && got.Annotations["azure.workload.identity/client-id"] == "2"
		})
	}
}

func testWatch(t *testing.T, k *kube.Cluster) {
	ref := kube.Ref{APIVersion: "v1", Kind: "ConfigMap", Namespace: "default", Name: "watched"}
	var heard atomic.Int64
	background(t, func(ctx context.Context) error { return k.Watch(ctx, ref, func() { heard.Add(1) }) })
	eventually(t, "the first word", func() bool { return heard.Load() > 0 })
	before := heard.Load()
	apply(t, k, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: watched, namespace: default}")
	eventually(t, "word of its creation", func() bool { return heard.Load() > before })
}
