package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/lanyard-io/lanyard/internal/outfile"
)

// Snapshot writes all of etcd's data to a file that only its owner can read. The file
// appears whole or not at all.
func Snapshot(ctx context.Context, client *Client, path string) error {
	err := outfile.Write(path, 0o600, func(w io.Writer) error { return SnapshotTo(ctx, client, w) })
	if err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	return nil
}

// SnapshotTo writes all of etcd's data. It is checked against etcd's own hash, which it
// ends with: `etcdutl snapshot restore` and embedded.Restore check it again, so that
// half of one is refused.
func SnapshotTo(ctx context.Context, client *Client, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := client.SnapshotWithVersion(ctx)
	if err != nil {
		return fmt.Errorf("taking it: %w", readError(err))
	}
	defer resp.Snapshot.Close()

	check := &trailer{sum: sha256.New()}
	if _, err := io.Copy(io.MultiWriter(w, check), resp.Snapshot); err != nil {
		return fmt.Errorf("taking it: %w", err)
	}
	if err := check.verify(); err != nil {
		return fmt.Errorf("taking it: %w", err)
	}
	return nil
}

// trailer hashes all bytes but the last 32, which must be the hash.
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
