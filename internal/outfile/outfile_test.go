package outfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/lanyard-io/lanyard/internal/outfile"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	for _, want := range []string{"old", "new"} {
		if err := outfile.Write(file, 0o600, text(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); string(got) != want {
			t.Errorf("it holds %q, want %q: %v", got, want, err)
		}
	}
	broken := errors.New("broken")
	err := outfile.Write(file, 0o600, func(w io.Writer) error {
		_ = text("half")(w)
		return broken
	})
	if got, _ := os.ReadFile(file); !errors.Is(err, broken) || string(got) != "new" {
		t.Errorf("after a failure it holds %q: %v", got, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", info, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWriteOnlyFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.Mkdir(at("directory"), 0o700))
	check(syscall.Mkfifo(at("fifo"), 0o600))
	check(os.Symlink("/dev/null", at("to-device")))
	check(os.Symlink("fifo", at("to-fifo")))
	check(os.Symlink("directory", at("to-directory")))
	check(os.Symlink("/proc/self/fd/1", at("to-stdout")))
	check(os.Symlink("loop", at("loop")))
	for _, path := range []string{
		at("directory"), at("fifo"), at("to-device"), at("to-fifo"), at("to-directory"), at("to-stdout"), at("loop"),
		"/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1",
	} {
		before, _ := os.Lstat(path)
		if err := outfile.Write(path, 0o600, text("x")); err == nil {
			t.Errorf("%s was written", path)
		}
		if after, _ := os.Lstat(path); before != nil && (after == nil || after.Mode().Type() != before.Mode().Type()) {
			t.Errorf("%s was %v and is %v", path, before.Mode(), after)
		}
	}

	check(os.WriteFile(at("file"), nil, 0o600))
	check(os.Symlink("file", at("to-file")))
	check(os.Symlink("new", at("to-new")))
	for link, file := range map[string]string{"to-file": "file", "to-new": "new"} {
		check(outfile.Write(at(link), 0o600, text("through")))
		if got, err := os.ReadFile(at(file)); string(got) != "through" {
			t.Errorf("%s: %q: %v", file, got, err)
		}
		if info, err := os.Lstat(at(link)); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v", link, err)
		}
	}
}
