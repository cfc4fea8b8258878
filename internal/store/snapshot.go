package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// Snapshot writes all of etcd's data to a file that only its owner can read.
// The file appears whole or not at all, and is checked against etcd's own hash,
// which it ends with: `etcdutl snapshot restore` and embedded.Restore read it.
func Snapshot(ctx context.Context, client *Client, path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // made 0600
	if err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			// What went wrong first is what matters.
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := client.SnapshotWithVersion(ctx)
	if err != nil {
		return fmt.Errorf("taking a snapshot: %w", readError(err))
	}
	defer resp.Snapshot.Close()

	check := &trailer{sum: sha256.New()}
	if _, err := io.Copy(io.MultiWriter(f, check), resp.Snapshot); err != nil {
		return fmt.Errorf("taking a snapshot: %w", err)
	}
	if err := check.verify(); err != nil {
		return fmt.Errorf("taking a snapshot: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename in dir outlast a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	return nil
}

// trailer hashes all that is written but the last 32 bytes, which are to be the hash.
type trailer struct {
	sum  hash.Hash
	last []byte
}

func (t *trailer) Write(p []byte) (int, error) {
	t.last = append(t.last, p...)
	if n := len(t.last) - sha256.Size; n > 0 {
		t.sum.Write(t.last[:n])
		t.last = append(t.last[:0], t.last[n:]...)
	}
	return len(p), nil
}

func (t *trailer) verify() error {
	if !bytes.Equal(t.sum.Sum(nil), t.last) {
		return errors.New("it was damaged on its way: its hash does not fit")
	}
	return nil
}
