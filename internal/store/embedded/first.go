package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A member whose first start is cut off never takes writes: its log is there, and
// nobody is a member in it. A marker in its directory says that it never did, so that
// the next start can begin anew, and is gone before the first write.

func marker(dir string) string { return filepath.Join(memberDir(dir), "first-start") }

// beginFirst removes the files of a first start that was cut off, and marks a first start.
func beginFirst(dir string) error {
	files := filepath.Join(memberDir(dir), "member")
	_, unfinished := os.Stat(marker(dir))
	switch _, err := os.Stat(files); {
	case errors.Is(unfinished, fs.ErrNotExist) && err == nil:
		return nil // it has been up
	case unfinished == nil: // the marker stays until all else is gone
		if err := os.RemoveAll(files); err != nil {
			return fmt.Errorf("removing a store whose first start was cut off: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(memberDir(dir), 0o700); err != nil {
		return fmt.Errorf("making the store's directory: %w", err)
	}
	if err := os.WriteFile(marker(dir), nil, 0o600); err != nil {
		return fmt.Errorf("marking the first start: %w", err)
	}
	return syncDir(memberDir(dir))
}

// endFirst says that the member has been up: from now on its files are never removed.
func endFirst(dir string) error {
	switch err := os.Remove(marker(dir)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("ending the first start: %w", err)
	}
	return syncDir(memberDir(dir))
}

// syncDir waits until the disk has a directory's names: a marker that came back after a
// power failure would cost the store.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
