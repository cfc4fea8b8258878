package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
)

// revisionBump sets a restored store's revisions apart from those that were
// given out after the snapshot, so that no old ETag fits a new object.
const revisionBump = 1 << 20

// Restore makes Dir from a snapshot file (store.Snapshot); Dir must not exist.
// A damaged snapshot is refused and leaves nothing behind.
func Restore(ctx context.Context, snapshotFile, dir string) (err error) {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("%s exists: a snapshot is restored into a new directory", dir)
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("restoring: %w", err)
	}
	if _, err := os.Stat(snapshotFile); err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	dir = filepath.Clean(dir)
	temp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".restore-") // made 0700
	if err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()

	err = snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath:        snapshotFile,
		Name:                memberName,
		OutputDataDir:       memberDir(temp),
		PeerURLs:            []string{memberURL},
		InitialCluster:      memberName + "=" + memberURL,
		InitialClusterToken: "etcd-cluster",
		RevisionBump:        revisionBump,
		MarkCompacted:       true,
	})
	if err != nil {
		return fmt.Errorf("restoring %s: it is damaged or no snapshot: %w", snapshotFile, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	return nil
}
