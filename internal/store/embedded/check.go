package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
)

// checkFiles walks through the database before etcd does, which reads it in goroutines
// of its own: here a panic, or a fault of the mapped file, is only an error. It looks
// at every page and at no value.
func checkFiles(dir string) (err error) {
	member := filepath.Join(memberDir(dir), "member")
	db := filepath.Join(member, "snap", "db")
	if _, err := os.Stat(db); errors.Is(err, os.ErrNotExist) {
		return nil // a new store
	}
	logs, err := filepath.Glob(filepath.Join(member, "wal", "*.wal"))
	if err == nil && len(logs) == 0 {
		return errors.New("the database has no wal")
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("opening the database: %v", r)
		}
	}()
	b, err := bbolt.Open(db, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return b.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func([]byte, []byte) error { return nil }) // etcd's have no buckets in them
		})
	})
}
