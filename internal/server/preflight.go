package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/store"
)

const (
	// minFiles is what the store, the listeners and a few connections need.
	minFiles = 256
	// A new store takes its first log file at once; every start writes something.
	minDiskNew, minDisk = 80 << 20, 16 << 20
)

// checkLimits refuses what would fail in the middle of a start, or soon after.
func (c Config) checkLimits() error {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur < minFiles {
		return fmt.Errorf("the process may open %d files at once, and needs %d at least: raise the limit, with ulimit -n 1024 or LimitNOFILE= of its unit", files.Cur, minFiles)
	}
	need := uint64(minDisk)
	if _, err := os.Stat(c.path(etcdDirName)); errors.Is(err, fs.ErrNotExist) && len(c.Etcd.Endpoints) == 0 {
		need = minDiskNew
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(c.DataDir, &disk); err != nil {
		return nil // the start finds out
	}
	if free := uint64(disk.Bavail) * uint64(disk.Bsize); free < need {
		return fmt.Errorf("the disk of %s has %d MiB free, and a start needs %d: make room, or use another --data-dir", c.DataDir, free>>20, need>>20)
	}
	return nil
}

func (s *Server) openStore(ctx context.Context) (err error) {
	if s.names, err = s.c.names(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.c.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	if err := s.c.checkLimits(); err != nil {
		return err
	}
	if s.served, err = s.c.readServed(); err != nil {
		return err
	}
	if err := s.c.checkReplica(); err != nil {
		return err
	}
	s.metrics = obs.NewRegistry()
	s.c.existing = (s.served != nil || s.c.follower()) && !s.c.SwitchStore
	if s.c.existing && len(s.c.Etcd.Endpoints) == 0 {
		if _, err := os.Stat(s.c.path(etcdDirName)); errors.Is(err, fs.ErrNotExist) {
			return s.c.noStore(s.served) // rather than after making its files
		}
	}
	s.backend, err = OpenBackend(ctx, s.c)
	if errors.Is(err, store.ErrNoStore) {
		return s.c.noStore(s.served)
	}
	return err
}
