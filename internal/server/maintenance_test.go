package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/store"
)

func TestSnapshotAndRestore(t *testing.T) {
	t.Parallel()
	dir, snapshot := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	r := start(t, local(dir))
	vault := r.vault("kv-dev")
	set(t, vault, "first", "in the snapshot")
	if err := server.Snapshot(t.Context(), server.Config{DataDir: dir}, snapshot); err != nil {
		t.Fatalf("while it runs: %v", err)
	}
	wantMode(t, snapshot, 0o600)
	set(t, vault, "first", "after the snapshot")
	token, err := r.client.ManagementToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	if err := server.Snapshot(t.Context(), server.Config{DataDir: dir}, snapshot+".2"); err != nil {
		t.Errorf("while it is stopped: %v", err)
	}

	restored := filepath.Join(t.TempDir(), "restored")
	if err := server.Restore(t.Context(), restored, snapshot); err != nil {
		t.Fatal(err)
	}
	if s, err := server.New(t.Context(), local(restored)); err == nil {
		s.Close()
		t.Fatal("it started without the key file")
	} else if !strings.Contains(err.Error(), "a new one must not be made for an existing store") {
		t.Errorf("without the key file: %v", err)
	}
	if _, err := os.Stat(server.Dir(restored).KeyFile()); err == nil {
		t.Fatal("a key file was made for an existing store")
	}

	write(t, server.Dir(restored).KeyFile(), string(read(t, dir, "seal.key")), 0o600)
	again := start(t, local(restored))
	again.signIn(server.Dir(dir).AdminFile())
	if got := get(t, again.secrets("kv-dev"), "first"); got != "in the snapshot" {
		t.Errorf("the restored secret is %q", got)
	}
	if status, _, body := again.fetch(again.Names().Own().ManagementURL()+"/subscriptions?api-version=2022-12-01", token); status != 200 {
		t.Errorf("a token from before: status %d: %s", status, body)
	}
	if string(read(t, dir, "ca.pem")) != string(read(t, restored, "ca.pem")) {
		t.Error("the CA changed")
	}
	again.stop()

	if err := server.Restore(t.Context(), restored, snapshot); err == nil || !strings.Contains(err.Error(), "restore into a new directory") {
		t.Errorf("over an existing store: %v", err)
	}
	if err := server.Snapshot(t.Context(), server.Config{DataDir: t.TempDir()}, snapshot+".3"); err == nil || !strings.Contains(err.Error(), "no store in") {
		t.Errorf("of nothing: %v", err)
	}
}

// sealed are the sealed values of a stopped server by key, with its keyset.
func sealed(t *testing.T, dir string) (wrapped []byte, blobs map[string][]byte) {
	t.Helper()
	b, err := server.OpenBackend(t.Context(), server.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	v, err := b.Store.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ks, _, _ := store.Get[*model.Keyset](v, model.KeysetKey)
	blobs = map[string][]byte{}
	for e := range v.Prefix("/", "") {
		switch o := e.Value.(type) {
		case *model.ItemVersion:
			if blobs[e.Key], err = b.Store.Blob(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		case *model.CA:
			blobs[e.Key] = o.SealedKey
		case *model.SigningKeys:
			for _, k := range o.Keys {
				blobs[k.SealName()] = k.Sealed
			}
		}
	}
	return ks.Wrapped, blobs
}

func unwrap(t *testing.T, keyFile string, wrapped []byte) (*seal.Sealer, error) {
	t.Helper()
	kek, err := seal.OpenKeyFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return seal.Unwrap(t.Context(), wrapped, kek)
}

func TestRotateAndRekey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, local(dir))
	vault := r.vault("kv-dev")
	values := map[string]string{"one": "first", "two": "second", "three": strings.Repeat("x", 25600)}
	for name, value := range values {
		set(t, vault, name, "older "+name)
		set(t, vault, name, value)
	}
	if _, err := vault.DeleteSecret(t.Context(), "three", nil); err != nil {
		t.Fatal(err)
	}
	r.stop()
	oldFile := filepath.Join(t.TempDir(), "old.key")
	write(t, oldFile, string(read(t, dir, "seal.key")), 0o600)
	_, before := sealed(t, dir)

	var reports []int
	n, err := server.RotateDataKey(t.Context(), server.Config{DataDir: dir}, func(done, all int) { reports = append(reports, done, all) })
	if err != nil {
		t.Fatal(err)
	}
	if last := reports[len(reports)-2:]; last[0] != last[1] || n == 0 {
		t.Errorf("it sealed %d values and reported %v at the end", n, last)
	}
	wrapped, after := sealed(t, dir)
	s, err := unwrap(t, server.Dir(dir).KeyFile(), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) || len(after) < 9 {
		t.Errorf("there were %d sealed values, and now %d", len(before), len(after))
	}
	for key, blob := range after {
		if s.Current(before[key]) || !s.Current(blob) {
			t.Errorf("%s is not sealed with the new data key", key)
		}
	}

	path, err := server.Rekey(t.Context(), server.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, 0o600)
	wrapped, _ = sealed(t, dir)
	if _, err := unwrap(t, oldFile, wrapped); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("the old key file on the rekeyed store: %v", err)
	}
	if string(read(t, oldFile)) == string(read(t, path)) {
		t.Error("the key file did not change")
	}

	again := start(t, local(dir))
	vault = again.secrets("kv-dev")
	if _, err := vault.RecoverDeletedSecret(t.Context(), "three", nil); err != nil {
		t.Fatal(err)
	}
	for name, value := range values {
		if got := get(t, vault, name); got != value {
			t.Errorf("%s is %.40q", name, got)
		}
	}
}

// Sealing again goes on while servers on an external etcd read and write.
func TestRotateUnderServers(t *testing.T) {
	t.Parallel()
	a, b := replicas(t)
	vault := a.vault("kv-dev")
	set(t, vault, "kept", "before")
	c := a.c
	done := make(chan error, 1)
	go func() {
		_, err := server.RotateDataKey(t.Context(), c, nil)
		done <- err
	}()
	onB := b.secrets("kv-dev")
	for i := 0; ; i++ {
		set(t, onB, "busy", "value")
		if got := get(t, vault, "busy"); got != "value" {
			t.Fatalf("it reads %q", got)
		}
		if got := get(t, onB, "kept"); got != "before" {
			t.Fatalf("it reads %q", got)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if got := get(t, onB, "kept"); got != "before" {
				t.Fatalf("afterwards it reads %q", got)
			}
			return
		default:
		}
	}
}

func TestMaintenanceNeedsAStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := server.RotateDataKey(t.Context(), server.Config{DataDir: dir}, nil); err == nil || !strings.Contains(err.Error(), "no store in") {
		t.Errorf("rotating: %v", err)
	}
	if _, err := server.Rekey(t.Context(), server.Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "no store in") {
		t.Errorf("rekeying: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
