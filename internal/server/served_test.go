package server_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

// on is a server's configuration with an external etcd.
func on(dir, endpoint, prefix string) server.Config {
	c := local(dir)
	c.Etcd.Endpoints, c.Prefix = []string{endpoint}, prefix
	return c
}

// refused wants a start to fail with these words, and to leave every file as it was.
func refused(t *testing.T, c server.Config, want ...string) {
	t.Helper()
	before := files(t, c.DataDir)
	s, err := server.New(t.Context(), c)
	if err == nil {
		s.Close()
		t.Fatal("it started")
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
	if diff := cmp.Diff(before, files(t, c.DataDir)); diff != "" {
		t.Errorf("files changed (-before +after):\n%s", diff)
	}
}

// keys is how many keys an external etcd has.
func keys(t *testing.T, endpoint string) int64 {
	t.Helper()
	c, err := store.Dial(store.DialConfig{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := c.Get(t.Context(), "\x00", clientv3.WithFromKey(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return all.Count
}

// The page "From the embedded to an external etcd" of docs/OPERATE.md, with every mistake on the way.
func TestMoveToExternalEtcd(t *testing.T) {
	t.Parallel()
	dir, endpoint := t.TempDir(), storetest.External(t)
	first := start(t, local(dir))
	set(t, first.vault("kv-dev"), "one", "before the move")
	early := filepath.Join(t.TempDir(), "early.db")
	if err := server.Snapshot(t.Context(), first.c, early); err != nil {
		t.Fatal(err)
	}
	if err := server.Copy(t.Context(), on(dir, endpoint, ""), "", nil); err == nil || !strings.Contains(err.Error(), "in use by another lanyard") {
		t.Errorf("copying the store of a running server: %v", err)
	}
	first.stop()

	// The plain switch is refused, and leaves neither credentials nor keys behind.
	refused(t, on(dir, endpoint, ""), "there is no store in etcd at "+endpoint, "in the embedded etcd", "lanyard store copy", "--switch-store")
	refused(t, on(dir, endpoint, "/other"), "under /other")
	if n := keys(t, endpoint); n != 0 {
		t.Errorf("a refused start left %d keys", n)
	}

	// A copy, and the server goes on with everything.
	if err := server.Copy(t.Context(), on(dir, endpoint, ""), "", nil); err != nil {
		t.Fatal(err)
	}
	if err := server.Copy(t.Context(), on(dir, endpoint, ""), "", nil); err == nil || !strings.Contains(err.Error(), "something under /lanyard/ already") {
		t.Errorf("copying over a store: %v", err)
	}
	second := start(t, on(dir, endpoint, ""))
	if got := get(t, second.secrets("kv-dev"), "one"); got != "before the move" {
		t.Errorf("the secret is %q", got)
	}
	set(t, second.secrets("kv-dev"), "one", "after the move")
	second.stop()

	// Going back to what was left behind, or to a snapshot of before, is refused;
	// with the flag the admin's access is as it was.
	refused(t, local(dir), "the store in the embedded etcd is a copy", "served last, in etcd at "+endpoint, "lacks what was changed since", "--switch-store")
	if err := server.Copy(t.Context(), on(dir, endpoint, "/again"), "", nil); err == nil || !strings.Contains(err.Error(), "older than the one that it served last") {
		t.Errorf("copying what was left behind: %v", err)
	}
	back := local(dir)
	back.SwitchStore = true
	third := start(t, back)
	if got := get(t, third.secrets("kv-dev"), "one"); got != "before the move" {
		t.Errorf("after the way back the secret is %q", got)
	}
	third.stop()
	start(t, local(dir)).stop() // the flag is for one start
	refused(t, on(dir, endpoint, ""), "lacks what was changed since")
}

// Another store, of another tenant or of the same, never gets at this one's credentials.
func TestOtherStoreIsRefused(t *testing.T) {
	t.Parallel()
	endpoint := storetest.External(t)
	tenant := "11111111-2222-3333-4444-555555555555"
	config := func(dir, prefix, tenant string) server.Config {
		c := on(dir, endpoint, prefix)
		c.TenantID = tenant
		return c
	}
	dir, other := t.TempDir(), t.TempDir()
	start(t, config(dir, "/mine", tenant)).stop()
	for prefix, id := range map[string]string{"/theirs": "", "/same-tenant": tenant} {
		// They share the key file, so that nothing else refuses.
		d := filepath.Join(other, prefix)
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(d, "seal.key"), string(read(t, dir, "seal.key")), 0o600)
		start(t, config(d, prefix, id)).stop()
		refused(t, config(dir, prefix, ""), "is of tenant", "this data directory served the one of tenant "+tenant, "--switch-store")
	}

	mine := read(t, dir, "admin.json")
	c := config(dir, "/theirs", "")
	c.SwitchStore = true
	there := start(t, c)
	if there.client != nil {
		t.Error("the credentials of the other store are in use")
	}
	there.stop()
	c.Prefix = "/mine"
	here := start(t, c) // and back
	if got := read(t, dir, "admin.json"); string(got) != string(mine) {
		t.Error("admin.json is not what it was")
	}
	here.vault("kv-dev")
	here.stop()

	// A new store of the same tenant: its admin is a new one, the old one's file is kept.
	c.Prefix = "/empty"
	start(t, c).stop()
	if got := read(t, dir, "admin.json"); string(got) == string(mine) {
		t.Error("admin.json is the other store's")
	}
	c.Prefix = "/mine"
	start(t, c).vault("kv-dev-2")
}

// What a program of before left says its tenant and no more.
func TestServedBefore(t *testing.T) {
	t.Parallel()
	dir, endpoint := t.TempDir(), storetest.External(t)
	start(t, local(dir)).stop()
	if err := os.Remove(filepath.Join(dir, "store.json")); err != nil {
		t.Fatal(err)
	}
	refused(t, on(dir, endpoint, ""), "there is no store in")
	start(t, on(t.TempDir(), endpoint, "/theirs")).stop()
	refused(t, on(dir, endpoint, "/theirs"), "is of tenant")
	start(t, local(dir)).stop()
	refused(t, on(dir, endpoint, ""), "in the embedded etcd")
}

// copyTree copies a directory as `cp -a` does.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copying: %v: %s", err, out)
	}
}

// A data directory copied to another machine is one more server on an external
// etcd; with an embedded one it is a store that went its own way.
func TestCopiedDataDirectory(t *testing.T) {
	t.Parallel()
	endpoint, dir := storetest.External(t), t.TempDir()
	start(t, on(dir, endpoint, "")).stop()
	twin := filepath.Join(t.TempDir(), "twin")
	copyTree(t, dir, twin)
	a, b := start(t, on(dir, endpoint, "")), start(t, on(twin, endpoint, ""))
	a.vault("kv-dev")
	b.vault("kv-dev-2")
	a.stop()
	b.stop()
	start(t, on(dir, endpoint, "")).stop()

	embedded := t.TempDir()
	start(t, local(embedded)).stop()
	twin = filepath.Join(t.TempDir(), "twin")
	copyTree(t, embedded, twin)
	start(t, local(embedded)).stop()
	start(t, local(twin)).stop()
	if err := server.Copy(t.Context(), on(embedded, endpoint, "/moved"), "", nil); err != nil {
		t.Fatal(err)
	}
	refused(t, on(twin, endpoint, "/moved"), "lacks what was changed since")
}

// A snapshot of before the last stop does not have everything.
func TestOlderSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, local(dir))
	early := filepath.Join(t.TempDir(), "early.db")
	if err := server.Snapshot(t.Context(), first.c, early); err != nil {
		t.Fatal(err)
	}
	first.vault("kv-later")
	first.stop()
	if err := os.Rename(filepath.Join(dir, "etcd"), filepath.Join(dir, "etcd.old")); err != nil {
		t.Fatal(err)
	}
	refused(t, local(dir), "there is no store in the embedded etcd")
	elsewhere := t.TempDir()
	if err := server.Restore(t.Context(), elsewhere, early); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(elsewhere, "etcd"), filepath.Join(dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	refused(t, local(dir), "lacks what was changed since")

	// The restore itself is what was asked for.
	if err := os.RemoveAll(filepath.Join(dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	if err := server.Restore(t.Context(), dir, early); err != nil {
		t.Fatal(err)
	}
	start(t, local(dir)).stop()
}

func TestLaterReplica(t *testing.T) {
	t.Parallel()
	endpoint := storetest.External(t)
	for _, name := range []string{"lanyard-1", "lanyard-10", "a-2"} {
		c := local(filepath.Join(t.TempDir(), "new"))
		c.PodName = name
		s, err := server.New(t.Context(), c)
		if err == nil {
			s.Close()
			t.Fatalf("%s started with a store of its own", name)
		}
		if !strings.Contains(err.Error(), name+" is one of several replicas") || !strings.Contains(err.Error(), "--etcd-endpoints") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := on(t.TempDir(), endpoint, "")
	c.PodName = "lanyard-1"
	refused(t, c, "lanyard-1 does not begin one")
	if n := keys(t, endpoint); n != 0 {
		t.Errorf("a refused start left %d keys", n)
	}
	for _, name := range []string{"", "lanyard-0", "laptop", "abc-7f9d"} {
		c := local(t.TempDir())
		c.PodName = name
		start(t, c).stop()
	}
	zero := on(t.TempDir(), endpoint, "")
	zero.PodName = "lanyard-0"
	start(t, zero)
	write(t, filepath.Join(c.DataDir, "seal.key"), string(read(t, zero.DataDir, "seal.key")), 0o600)
	start(t, c)
}
