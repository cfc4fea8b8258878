package outfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoFile is what is at a path that is no regular file.
var ErrNoFile = errors.New("not a regular file")

// Write makes or replaces the file at path with what write writes. The file appears
// whole or not at all, outlasts a crash, and has mode, whatever the umask. A symlink is
// followed; a directory, device, pipe or socket is left alone.
func Write(path string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	path, err = resolve(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // made 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// What went wrong first is what matters.
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(mode.Perm()), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// maxLinks is how many symlinks are followed.
const maxLinks = 40

// resolve is the path behind symlinks, where a file is or can be made. What /proc leads
// to is some process's open file, whose name is not ours to take: /dev/stdout is one.
func resolve(path string) (string, error) {
	asked := path
	for range maxLinks {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return "", err
		}
		if strings.HasPrefix(dir+"/", "/proc/") {
			return "", fmt.Errorf("%s: %w", asked, ErrNoFile)
		}
		path = filepath.Join(dir, filepath.Base(path))
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular():
			return path, nil
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink == 0:
			return "", fmt.Errorf("%s: %w", asked, ErrNoFile)
		}
		next, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(dir, next)
		}
		path = next
	}
	return "", fmt.Errorf("%s: too many symlinks", asked)
}

// syncDir makes a rename in dir outlast a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
