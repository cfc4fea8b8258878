package items

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// TakenError says that the name belongs to a secret that was deleted and can be
// recovered.
type TakenError struct{ Secret *model.Secret }

func (e *TakenError) Error() string { return "secret " + e.Secret.Name + " is deleted and recoverable" }

// ErrNoVault says that the vault was purged meanwhile.
var ErrNoVault = errors.New("the vault is gone")

// NewVersion is a version with a new id.
func NewVersion(vault, name string, now int64) *model.SecretVersion {
	var id [16]byte
	rand.Read(id[:])
	return &model.SecretVersion{Vault: vault, Name: name, Version: hex.EncodeToString(id[:]), Created: now}
}

// Add writes a version, its sealed value and the head that names it, or nothing.
func Add(ctx context.Context, s *store.Store, view *store.View, vault *model.Vault, v *model.SecretVersion, sealed []byte) (*model.Secret, error) {
	var next *model.Secret
	err := Again(ctx, s, view, func(view *store.View) error {
		h, rev := Head(view, v.Vault, v.Name)
		if h != nil && h.Deleted != nil {
			return &TakenError{h}
		}
		next = &model.Secret{Vault: v.Vault, Name: v.Name, Current: v.Version}
		if h != nil {
			next.Name = h.Name // as first spelled
		}
		v.Name = next.Name
		there, err := Still(view, vault)
		if err != nil {
			return err
		}
		_, err = s.Commit(ctx, there, store.Op{Value: next, Rev: rev}, store.Op{Value: v, Blob: sealed})
		return err
	})
	return next, err
}

// Head finds a secret; nil and 0 when there is none.
func Head(view *store.View, vault, name string) (*model.Secret, int64) {
	h, rev, _ := store.Get[*model.Secret](view, model.SecretKey(vault, name))
	return h, rev
}

// Still is the condition that a vault is there, and as it was. What is made in
// one that was purged meanwhile would belong to the next vault of its name.
func Still(view *store.View, v *model.Vault) (store.Op, error) {
	e := view.Get(v.Key())
	if e == nil {
		return store.Op{}, ErrNoVault
	}
	return store.Op{Key: e.Key, Rev: e.Rev, Check: true}, nil
}

// Again makes a change of one compare-and-swap, and makes it anew when another
// writer was first: a PUT adds a version of its own, so losing is no answer.
func Again(ctx context.Context, s *store.Store, view *store.View, change func(*store.View) error) error {
	err := s.Again(ctx, view, change)
	if errors.Is(err, store.ErrConflict) {
		return apierr.New(apierr.Throttled, "Too many requests change this secret at the same time.")
	}
	return err
}
