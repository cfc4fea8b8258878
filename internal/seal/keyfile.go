package seal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// KeyFile is a KEK: one or more 256-bit keys in a 0600 file, the first of which
// wraps; the others only unwrap, so that it can be rotated.
type KeyFile struct {
	path string

	mu   sync.Mutex
	keys []aeadKey // guarded by mu; never empty
}

// CreateKeyFile makes a new key file, 0600; it fails when path exists.
func CreateKeyFile(path string) (*KeyFile, error) {
	keys := []fileKey{newFileKey()}
	defer clear(keys)
	err := writeNew(path, keys)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s: %w; a key file is never overwritten", path, os.ErrExist)
	}
	if err != nil {
		return nil, fmt.Errorf("making a key file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("making a key file: %w", err)
	}
	return newKeyFile(path, keys)
}

// OpenKeyFile reads a key file. It refuses one that others may read, but for a
// mode of 0440, and says what to do about a missing, short or garbled one.
func OpenKeyFile(path string) (*KeyFile, error) {
	keys, err := readKeys(path)
	if err != nil {
		return nil, err
	}
	defer clear(keys)
	return newKeyFile(path, keys)
}

// RotateKeyFile puts a new key first, atomically. The keyset must be rewrapped
// (Unwrap, then Sealer.Wrap) before DropOldKeys.
func RotateKeyFile(path string) (*KeyFile, error) {
	return rewrite(path, func(keys []fileKey) []fileKey { return append([]fileKey{newFileKey()}, keys...) })
}

// DropOldKeys leaves only the first key in the file, atomically.
func DropOldKeys(path string) (*KeyFile, error) {
	return rewrite(path, func(keys []fileKey) []fileKey { return keys[:1:1] })
}

func newKeyFile(path string, keys []fileKey) (*KeyFile, error) {
	f := &KeyFile{path: path}
	for i := range keys {
		k, err := newAEADKey(&keys[i])
		if err != nil {
			return nil, fmt.Errorf("using a key of %s: %w", path, err)
		}
		f.keys = append(f.keys, k)
	}
	return f, nil
}

// rewrite edits the keys of a file. PATH.new is at once the new content and the
// lock: of two rotations at the same time, one would lose the other's key.
func rewrite(path string, edit func([]fileKey) []fileKey) (*KeyFile, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errMissing(path)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the key file: %w", err)
	}
	tmp := target + ".new"
	lock, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s: %w: another rotation is at work, or one was broken off; if none is at work, remove that file", tmp, os.ErrExist)
	}
	if err != nil {
		return nil, fmt.Errorf("rewriting the key file: %w", err)
	}
	keys, err := readKeys(target)
	if err == nil {
		defer clear(keys)
		keys = edit(keys)
		defer clear(keys)
		err = fill(lock, keys)
	} else {
		lock.Close()
	}
	if err == nil {
		err = os.Rename(tmp, target)
	}
	if err != nil {
		os.Remove(tmp)
		return nil, fmt.Errorf("rewriting the key file: %w", err)
	}
	if err := syncDir(filepath.Dir(target)); err != nil {
		return nil, fmt.Errorf("rewriting the key file: %w", err)
	}
	return newKeyFile(path, keys)
}

// maxFile is far more than any number of keys that makes sense.
const maxFile = 64 << 10

func readKeys(path string) ([]fileKey, error) {
	// O_NONBLOCK: a named pipe in the file's place must not hang the start.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errMissing(path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the key file: %w", err)
	}
	defer f.Close()

	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening the key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	// 0440 is what a Kubernetes Secret gets in a pod with an fsGroup: root's, to be
	// read by the pod's group, and by nobody to be written.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && mode != 0o440 {
		return nil, fmt.Errorf("%s may be used by others than its owner (mode %04o): chmod 600 %s, or set defaultMode 0400 on the Secret volume", path, mode, path)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is too large for a key file: %d bytes", path, info.Size())
	}
	text := make([]byte, info.Size())
	defer clear(text)
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: restore it from a backup", path, err)
	}
	return keys, nil
}

func errMissing(path string) error {
	return fmt.Errorf("%s: %w: the stored data cannot be opened without this key file: restore it from a backup; "+
		"a new one must not be made for an existing store", path, os.ErrNotExist)
}

// writeNew makes a file that did not exist; it leaves none behind when it fails.
func writeNew(path string, keys []fileKey) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := fill(f, keys); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}

// fill writes the keys to disk and closes f.
func fill(f *os.File, keys []fileKey) error {
	text := formatKeys(keys)
	defer clear(text)
	_, err := f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a new name in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
