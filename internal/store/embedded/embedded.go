// Package embedded runs an etcd inside the process. It is the only importer of
// the etcd server.
package embedded

import (
	"context"
	"log/slog"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Config for Start.
type Config struct {
	Dir   string // of the data; made 0700
	Log   *slog.Logger
	Quota int64 // bytes of the database; default 4 GiB
}

// Server is a running etcd of one member.
type Server struct{ _ int }

// Start starts etcd and waits until it takes writes. It listens on unix sockets
// in Dir only, never on a network address. A second process on the same Dir is
// refused at once, with a sentence that says so.
func Start(ctx context.Context, c Config) (*Server, error) { panic("todo") }

// Client talks to the server in-process. Close closes it too.
func (s *Server) Client() *clientv3.Client { panic("todo") }

// Run waits until ctx ends or the server fails; it also defragments when much
// of the file is free, and raises and logs the quota alarm.
func (s *Server) Run(ctx context.Context) error { panic("todo") }

// Close stops the server; all that was committed is on disk.
func (s *Server) Close() error { panic("todo") }

// Restore makes Dir from a snapshot file (store.Snapshot); Dir must not exist.
func Restore(ctx context.Context, snapshot, dir string) error { panic("todo") }
