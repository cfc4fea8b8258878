package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

const (
	lockName   = "lanyard.lock"
	socketName = "etcd.sock"
	// A unix socket's path has at most 107 bytes on Linux and 103 on macOS.
	maxSocketPath = 100
)

// lock keeps a second process out of a directory: etcd's own lock would wait
// for ever. The file holds the path of the socket that the process listens on.
type lock struct {
	file   *os.File
	socket string
	temp   string // directory of the socket, when it is not in ours
}

func takeLock(dir string) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the store: %w", err)
	}
	l := &lock{file: f}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("the store in %s is in use by another lanyard: stop that one, or use another data directory", dir), f.Close())
	}
	if err == nil {
		err = l.placeSocket(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking the store: %w", err), l.release())
	}
	return l, nil
}

// placeSocket chooses the socket's path and notes it in the lock's file.
func (l *lock) placeSocket(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	l.socket = filepath.Join(dir, socketName)
	if len(l.socket) > maxSocketPath {
		if l.temp, err = os.MkdirTemp("", "lanyard-"); err != nil {
			return err
		}
		l.socket = filepath.Join(l.temp, socketName)
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err = l.file.WriteAt([]byte(l.socket), 0)
	return err
}

func (l *lock) release() error {
	faults := []error{l.file.Close()}
	if l.temp != "" {
		faults = append(faults, os.RemoveAll(l.temp))
	}
	return errors.Join(faults...)
}

// Endpoint is the address of a directory's running server, for this machine and for
// users who may read the directory. running is false when there is none.
func Endpoint(dir string) (endpoint string, running bool, err error) {
	f, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, os.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("looking for the store's server: %w", err)
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return "", false, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return "", false, fmt.Errorf("looking for the store's server: %w", err)
	}
	socket, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", false, fmt.Errorf("looking for the store's server: %w", err)
	}
	return "unix://" + string(socket), true, nil
}
