package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCreateKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	made, err := CreateKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode = %04o, want 0600", got)
	}
	text := readFile(t, path)
	if !bytes.HasPrefix(text, []byte("# ")) {
		t.Errorf("the file does not begin with a comment: %q", text)
	}
	if got := mustOpenKeyFile(t, path); got.keys[0].id != made.keys[0].id {
		t.Errorf("read key %s, made %s", got.keys[0].id, made.keys[0].id)
	}

	if _, err := CreateKeyFile(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("making it again: %v, want os.ErrExist", err)
	}
	if got := readFile(t, path); !bytes.Equal(got, text) {
		t.Error("making it again changed the file")
	}
}

func TestOpenKeyFileMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	for _, open := range []func(string) (*KeyFile, error){OpenKeyFile, RotateKeyFile, DropOldKeys} {
		_, err := open(path)
		if !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("error = %v, want os.ErrNotExist", err)
		}
		for _, want := range []string{path, "backup", "must not be made for an existing store"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want it to say %q", err, want)
			}
		}
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestOpenKeyFileRefusesWhatOthersMayUse(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o620, 0o602, 0o610, 0o666} {
		path := newTestKeyFile(t).path
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := OpenKeyFile(path)
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %04o: %v, want the chmod that mends it", mode, err)
		}
	}
}

func TestOpenKeyFileTakesASymlinkAndAReadOnlyFile(t *testing.T) {
	made := newTestKeyFile(t)
	if err := os.Chmod(made.path, 0o400); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.key")
	if err := os.Symlink(made.path, link); err != nil {
		t.Fatal(err)
	}
	if got := mustOpenKeyFile(t, link); got.keys[0].id != made.keys[0].id {
		t.Errorf("read key %s through the link, want %s", got.keys[0].id, made.keys[0].id)
	}
}

func TestOpenKeyFileRefusesADirectory(t *testing.T) {
	if _, err := OpenKeyFile(t.TempDir()); err == nil {
		t.Error("a directory was read as a key file")
	}
}

func TestOpenKeyFileRefusesGarbledText(t *testing.T) {
	one, two := newFileKey(), newFileKey()
	good := string(formatKeys([]fileKey{one}))
	line := strings.TrimPrefix(good, keyComment)
	otherLine := strings.TrimPrefix(string(formatKeys([]fileKey{two})), keyComment)
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "no key"},
		{"only-a-comment", keyComment, "no key"},
		{"not-text", "\x00\xff\x00\xff", "line 1: want a key id"},
		{"cut-short", good[:len(good)-9], "line 3: the key has"},
		{"no-id", line[17:], "line 1: want a key id"},
		{"id-not-hex", "z" + line[1:], "line 1: the key id is not hexadecimal"},
		{"another-keys-id", line[:17] + otherLine[17:], "line 1: the key does not match its id"},
		{"not-base64", line[:20] + "!" + line[21:], "line 1: the key is not base64"},
		{"duplicate", good + line, "line 4: the same key again"},
		{"more-after-the-key", strings.TrimSpace(line) + " and more", "line 1: the key has"},
		{"too-large", good + strings.Repeat("# more\n", 10_000), "too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "seal.key")
			writeFile(t, path, tt.text)
			_, err := OpenKeyFile(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("error = %v, want %q and the path", err, tt.want)
			}
			if secret := strings.TrimSpace(line[17:]); strings.Contains(err.Error(), secret[:12]) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestOpenKeyFileTakesBlankLinesAndCarriageReturns(t *testing.T) {
	text := formatKeys([]fileKey{newFileKey(), newFileKey()})
	path := filepath.Join(t.TempDir(), "seal.key")
	writeFile(t, path, "\n"+strings.ReplaceAll(string(text), "\n", "\r\n")+"\n")
	if got := len(mustOpenKeyFile(t, path).keys); got != 2 {
		t.Errorf("read %d keys, want 2", got)
	}
}

// TestRotateKeyFile walks through the whole procedure: rotate, rewrap, drop.
func TestRotateKeyFile(t *testing.T) {
	kek := newTestKeyFile(t)
	s, err := New(kek)
	if err != nil {
		t.Fatal(err)
	}
	sealed := mustSeal(t, s, "kept", name)
	wrappedOld := mustWrap(t, s)

	rotated, err := RotateKeyFile(kek.path)
	if err != nil {
		t.Fatal(err)
	}
	if len(rotated.keys) != 2 || rotated.keys[1].id != kek.keys[0].id {
		t.Fatalf("after the rotation the old key is not second of two")
	}
	again, err := Unwrap(t.Context(), wrappedOld, mustOpenKeyFile(t, kek.path))
	if err != nil {
		t.Fatalf("unwrapping with the rotated file: %v", err)
	}
	wrappedNew := mustWrap(t, again)

	dropped, err := DropOldKeys(kek.path)
	if err != nil {
		t.Fatal(err)
	}
	if len(dropped.keys) != 1 || dropped.keys[0].id != rotated.keys[0].id {
		t.Fatal("after the drop the new key is not the only one")
	}
	if _, err := Unwrap(t.Context(), wrappedOld, dropped); !errors.Is(err, ErrWrongKey) {
		t.Errorf("unwrapping the old keyset: %v, want ErrWrongKey", err)
	}
	last, err := Unwrap(t.Context(), wrappedNew, dropped)
	if err != nil {
		t.Fatal(err)
	}
	wantOpen(t, last, sealed, "kept")

	// A server that was running all the while reads the file again by itself.
	if err := s.Load(t.Context(), wrappedNew); err != nil {
		t.Errorf("Load in a running server: %v", err)
	}
	if _, err := Unwrap(t.Context(), mustWrap(t, s), dropped); err != nil {
		t.Errorf("the running server still wraps with the old key: %v", err)
	}

	info, err := os.Stat(kek.path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode = %04o, want 0600", got)
	}
}

func TestRotateKeyFileKeepsASymlink(t *testing.T) {
	made := newTestKeyFile(t)
	link := filepath.Join(t.TempDir(), "link.key")
	if err := os.Symlink(made.path, link); err != nil {
		t.Fatal(err)
	}
	rotated, err := RotateKeyFile(link)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info.Mode(), err)
	}
	if got := mustOpenKeyFile(t, made.path); got.keys[0].id != rotated.keys[0].id {
		t.Error("the file behind the link was not rotated")
	}
}

func TestRotateKeyFileRefusesASecondRotation(t *testing.T) {
	path := newTestKeyFile(t).path
	before := readFile(t, path)
	writeFile(t, path+".new", "")
	_, err := RotateKeyFile(path)
	if !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), path+".new") {
		t.Errorf("error = %v, want os.ErrExist and the file to remove", err)
	}
	if !bytes.Equal(readFile(t, path), before) {
		t.Error("the key file changed")
	}
	if _, err := os.Stat(path + ".new"); err != nil {
		t.Errorf("the other rotation's file is gone: %v", err)
	}
}

func TestRotateKeyFileLeavesAGarbledFileAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	writeFile(t, path, "garbled")
	if _, err := RotateKeyFile(path); err == nil {
		t.Error("rotated a garbled file")
	}
	if got := string(readFile(t, path)); got != "garbled" {
		t.Errorf("the file is now %q", got)
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left %s.new behind: %v", path, err)
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add(formatKeys([]fileKey{newFileKey()}))
	f.Add(formatKeys([]fileKey{newFileKey(), newFileKey()}))
	f.Add([]byte("# comment\n0011223344556677 AAAA\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err != nil {
			return
		}
		again, err := parseKeys(formatKeys(keys))
		if err != nil || len(again) != len(keys) {
			t.Fatalf("parsing %d formatted keys: %d, %v", len(keys), len(again), err)
		}
		for i := range keys {
			if again[i] != keys[i] {
				t.Errorf("key %d differs after formatting and parsing", i)
			}
		}
	})
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
