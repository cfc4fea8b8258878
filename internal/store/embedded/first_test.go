package embedded_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/lanyard-io/lanyard/internal/store/embedded"
)

// What a first start left when it was cut off is begun anew; a store that has been up
// is never removed.
func TestFirstStartCutOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	member := filepath.Join(dir, "member.etcd")
	marker := filepath.Join(member, "first-start")
	if err := os.MkdirAll(filepath.Join(member, "member", "wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{marker, filepath.Join(member, "member", "wal", "0000000000000000-0000000000000000.wal")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	s, stop := start(t, embedded.Config{Dir: dir, NoSync: true})
	if _, err := os.Stat(marker); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the store is up and still marked as one that never was: %v", err)
	}
	fill(t, open(t, s.Client()), 5, 10)
	want := contents(t, open(t, s.Client()))
	stop()
	s, _ = start(t, embedded.Config{Dir: dir, NoSync: true})
	if got := contents(t, open(t, s.Client())); len(got) != len(want) || len(got) == 0 {
		t.Errorf("%d keys after a restart, want %d", len(got), len(want))
	}
}
