package embedded_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/embedded"
)

// start is a running server; stop is for tests that end it themselves.
func start(t testing.TB, c embedded.Config) (s *embedded.Server, stop func()) {
	t.Helper()
	s, err := embedded.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func open(t testing.TB, client *store.Client) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fill writes secrets' versions with their blobs.
func fill(t testing.TB, s *store.Store, n, size int) {
	t.Helper()
	for i := range n {
		o := &model.ItemVersion{ItemKind: model.Secrets, Vault: "kv", Name: "s", Version: fmt.Sprint(i)}
		if _, err := s.Commit(t.Context(), store.Op{Value: o, Blob: bytes.Repeat([]byte{byte(i)}, size)}); err != nil {
			t.Fatal(err)
		}
	}
}

// contents is everything in a store: keys and blobs.
func contents(t testing.TB, s *store.Store) map[string]string {
	t.Helper()
	v, err := s.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for e := range v.Prefix("/", "") {
		b, err := s.Blob(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		all[e.Key] = fmt.Sprintf("%T %x", e.Value, b)
	}
	return all
}

func TestDataOutlivesTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	s, stop := start(t, embedded.Config{Dir: dir})
	st := open(t, s.Client())
	fill(t, st, 5, 10)
	want := contents(t, st)
	stop()

	s, _ = start(t, embedded.Config{Dir: dir})
	if diff := cmp.Diff(want, contents(t, open(t, s.Client()))); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the directory's mode is %v, %v; want 0700", fi.Mode(), err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, stop := start(t, embedded.Config{Dir: dir, NoSync: true})
	_, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "in use by another lanyard") {
		t.Errorf("a second Start = %v, want one that names the cause", err)
	}
	stop()
	start(t, embedded.Config{Dir: dir, NoSync: true})
}

func TestEndpointOfARunningServer(t *testing.T) {
	for _, c := range []struct{ name, sub string }{
		{"short-path", "etcd"},
		{"path-too-long-for-a-socket", strings.Repeat("long/", 40)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), c.sub)
			if _, running, err := embedded.Endpoint(dir); running || err != nil {
				t.Fatalf("Endpoint before any start = %t, %v", running, err)
			}
			s, stop := start(t, embedded.Config{Dir: dir, NoSync: true})
			fill(t, open(t, s.Client()), 1, 1)

			endpoint, running, err := embedded.Endpoint(dir)
			if !running || err != nil {
				t.Fatalf("Endpoint = %t, %v", running, err)
			}
			client, err := store.Dial(store.DialConfig{Endpoints: []string{endpoint}})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if n := len(contents(t, open(t, client))); n != 1 {
				t.Errorf("%d objects through the socket, want 1", n)
			}
			socket := strings.TrimPrefix(endpoint, "unix://")
			if fi, err := os.Stat(filepath.Dir(socket)); err != nil || fi.Mode().Perm() != 0o700 {
				t.Errorf("the socket's directory has mode %v, %v; want 0700", fi.Mode(), err)
			}
			stop()
			if _, running, err := embedded.Endpoint(dir); running || err != nil {
				t.Errorf("Endpoint after Close = %t, %v", running, err)
			}
		})
	}
}

func TestSnapshotAndRestore(t *testing.T) {
	s, stop := start(t, embedded.Config{Dir: t.TempDir(), NoSync: true})
	st := open(t, s.Client())
	fill(t, st, 300, 1000)
	want := contents(t, st)
	file := filepath.Join(t.TempDir(), "snapshot")
	if err := store.Snapshot(t.Context(), s.Client(), file); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the snapshot's mode is %v, %v; want 0600", fi.Mode(), err)
	}
	after, err := st.Put(t.Context(), &model.Application{AppID: "after"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	stop()

	dir := filepath.Join(t.TempDir(), "restored")
	if err := embedded.Restore(t.Context(), file, dir); err != nil {
		t.Fatal(err)
	}
	s, stop = start(t, embedded.Config{Dir: dir, NoSync: true})
	st = open(t, s.Client())
	if diff := cmp.Diff(want, contents(t, st)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	rev, err := st.Put(t.Context(), &model.Application{AppID: "another"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if rev <= after {
		t.Errorf("a restored store gives out revision %d, which the lost store had given out up to %d", rev, after)
	}
	stop()
	s, _ = start(t, embedded.Config{Dir: dir, NoSync: true})
	if got := len(contents(t, open(t, s.Client()))); got != len(want)+1 {
		t.Errorf("%d objects after the second start, want %d", got, len(want)+1)
	}
}

func TestRestoreRefuses(t *testing.T) {
	s, _ := start(t, embedded.Config{Dir: t.TempDir(), NoSync: true})
	fill(t, open(t, s.Client()), 10, 1000)
	good := filepath.Join(t.TempDir(), "snapshot")
	if err := store.Snapshot(t.Context(), s.Client(), good); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(b)
	flipped[len(b)/2] ^= 1

	for _, c := range []struct {
		name string
		file []byte
	}{
		{"one-bit-flipped", flipped},
		{"end-cut-off", b[:len(b)-1]},
		{"half-of-it", b[:len(b)/2]},
		{"hash-cut-off", b[:len(b)-32]},
		{"page-cut-off", append(bytes.Clone(b[:len(b)-32-4096]), b[len(b)-32:]...)},
		{"empty", nil},
		{"text", []byte(strings.Repeat("no snapshot\n", 1000))},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			file := filepath.Join(t.TempDir(), "snapshot")
			if err := os.WriteFile(file, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := embedded.Restore(t.Context(), file, filepath.Join(parent, "etcd")); err == nil {
				t.Error("Restore took it")
			}
			left, err := os.ReadDir(parent)
			if err != nil || len(left) > 0 {
				t.Errorf("Restore left %v, %v", left, err)
			}
		})
	}

	t.Run("directory-exists", func(t *testing.T) {
		if err := embedded.Restore(t.Context(), good, t.TempDir()); err == nil {
			t.Error("Restore went into a directory that exists")
		}
	})
}

func TestStartAndStopAreQuiet(t *testing.T) {
	var out bytes.Buffer
	s, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), NoSync: true, Log: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, open(t, s.Client()), 1, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("logged:\n%s", &out)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s, _ := start(t, embedded.Config{Dir: t.TempDir(), NoSync: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// BenchmarkStart starts on an existing store with the disk's real fsync.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	s, stop := start(b, embedded.Config{Dir: dir})
	fill(b, open(b, s.Client()), 200, 1000)
	stop()
	for b.Loop() {
		s, err := embedded.Start(b.Context(), embedded.Config{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
