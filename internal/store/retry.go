package store

import (
	"context"
	"errors"
)

// maxTries bounds how often a change is made anew. Each time one of the writers that
// compete wins, so this many can compete.
const maxTries = 64

// Retry makes a change of one commit on a view, and makes it anew on a fresh one each
// time that another writer was first. ErrConflict is what a change gives that has lost
// too often.
func (s *Store) Retry(ctx context.Context, view *View, change func(*View) error) error {
	for range maxTries {
		err := change(view)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if view, err = s.Fresh(ctx); err != nil {
			return err
		}
	}
	return ErrConflict
}
