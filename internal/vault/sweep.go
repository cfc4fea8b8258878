package vault

import (
	"context"
	"errors"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const (
	sweepEvery = time.Hour
	// sweepChunk items are erased in one commit, two writes each.
	sweepChunk = 25
)

// Run purges deleted items when their time has come: once at the start, then
// every hour, until ctx ends. Every replica may run it.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "scheduled purge failed; the next run tries again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sweep erases what is due, vaults that are themselves deleted included.
func (s *Server) sweep(ctx context.Context) error {
	view, err := s.store.Fresh(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	var ops []store.Op
	var due int
	for e := range view.Prefix(model.ContentsOfVaults, "") {
		item, ok := e.Value.(*model.Item)
		if !ok || item.Deleted == nil || now.Before(item.Deleted.Purge) {
			continue
		}
		due++
		if ops = append(ops, erase(item, e.Rev)...); len(ops) == 2*sweepChunk {
			if err := s.eraseAll(ctx, ops); err != nil {
				return err
			}
			ops = nil
		}
	}
	if err := s.eraseAll(ctx, ops); err != nil {
		return err
	}
	if due > 0 {
		s.log.InfoContext(ctx, "purged what was deleted and whose retention has passed", "count", due)
	}
	return nil
}

// eraseAll commits pairs of writes; if somebody was first with one of them, each pair by itself.
func (s *Server) eraseAll(ctx context.Context, ops []store.Op) error {
	if len(ops) == 0 {
		return nil
	}
	_, err := s.store.Commit(ctx, ops...)
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	for ; len(ops) > 0; ops = ops[2:] {
		if _, err := s.store.Commit(ctx, ops[0], ops[1]); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil
}
