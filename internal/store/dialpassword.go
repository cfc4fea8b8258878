package store

import (
	"context"
	"log/slog"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// filePassword signs in with the password that its file has now: etcd's client signs in
// again when its token is not accepted any more, such as after a change of the password.
type filePassword struct {
	clientv3.Auth
	c DialConfig

	mu   sync.Mutex
	last string // guarded by mu; as it was read last
}

// Authenticate implements clientv3.Auth.
func (f *filePassword) Authenticate(ctx context.Context, name, _ string) (*clientv3.AuthenticateResponse, error) {
	return f.Auth.Authenticate(ctx, name, f.password(ctx))
}

// password is read from the file. While that fails, the last one stays.
func (f *filePassword) password(ctx context.Context) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.c.password()
	switch {
	case err == nil:
		f.last = now
	case f.c.Log != nil:
		f.c.Log.LogAttrs(ctx, slog.LevelError, "kept the old password for etcd", slog.Any("error", err))
	}
	return f.last
}
