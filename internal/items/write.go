package items

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
)

// TakenError says that the name belongs to an item that was deleted and can be
// recovered.
type TakenError struct{ Item *model.Item }

func (e *TakenError) Error() string {
	return e.Item.ItemKind.Noun() + " " + e.Item.Name + " is deleted and recoverable"
}

var (
	// ErrNoVault says that the vault was purged meanwhile.
	ErrNoVault = errors.New("the vault is gone")
	// ErrMissing says that there is no such live item, or no such version of it.
	ErrMissing = errors.New("no such item")
)

// Ref says which item is meant, and which version of it; without one, the current.
type Ref struct {
	Kind    model.ItemKind
	Vault   string // lower case
	Name    string
	Version string // lower case
}

// Find gives the item, deleted or not; nil and 0 when there is none.
func (r *Ref) Find(view *store.View) (*model.Item, int64) {
	item, rev, _ := store.Get[*model.Item](view, model.ItemKey(r.Kind, r.Vault, r.Name))
	return item, rev
}

// Live gives an item that is not deleted, and the version's entry; ErrMissing when
// there is none. The entry's value is an *model.ItemVersion.
func (r *Ref) Live(view *store.View) (*model.Item, *store.Entry, error) {
	item, _ := r.Find(view)
	if item == nil || item.Deleted != nil {
		return nil, nil, ErrMissing
	}
	version := r.Version
	if version == "" {
		version = item.Current
	}
	e := view.Get(model.VersionKey(r.Kind, r.Vault, r.Name, version))
	if e == nil {
		return nil, nil, ErrMissing
	}
	return item, e, nil
}

// NewVersion is a version with a new id.
func (r *Ref) NewVersion(now int64) *model.ItemVersion {
	var id [16]byte
	rand.Read(id[:])
	return &model.ItemVersion{ItemKind: r.Kind, Vault: r.Vault, Name: r.Name, Version: hex.EncodeToString(id[:]), Created: now}
}

// Items opens and writes what vaults hold.
type Items struct {
	Store  *store.Store
	Sealer *seal.Sealer
}

// Value opens a version's value; ErrMissing when it was purged since the view.
func (i Items) Value(ctx context.Context, e *store.Entry) ([]byte, error) {
	sealed, err := i.Store.Blob(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", e.Key, err)
	}
	if sealed == nil {
		return nil, ErrMissing
	}
	value, err := i.Sealer.Open(sealed, e.Key)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", e.Key, err)
	}
	return value, nil
}

// Seal makes the write of a version that is new, with its value.
func (i Items) Seal(v *model.ItemVersion, value []byte) (store.Op, error) {
	sealed, err := i.Sealer.Seal(value, v.Key())
	if err != nil {
		return store.Op{}, fmt.Errorf("sealing %s: %w", v.Key(), err)
	}
	return store.Op{Value: v, Blob: sealed}, nil
}

// Add writes a version, its value and the item that names it, or nothing.
func (i Items) Add(ctx context.Context, view *store.View, vault *model.Vault, v *model.ItemVersion, value []byte) (*model.Item, error) {
	write, err := i.Seal(v, value)
	if err != nil {
		return nil, err
	}
	r := Ref{Kind: v.ItemKind, Vault: v.Vault, Name: v.Name}
	var next *model.Item
	err = i.Retry(ctx, view, &r, func(view *store.View) error {
		item, rev := r.Find(view)
		if item != nil && item.Deleted != nil {
			return &TakenError{item}
		}
		next = &model.Item{ItemKind: r.Kind, Vault: v.Vault, Name: v.Name, Current: v.Version}
		if item != nil {
			next.Name = item.Name // as first spelled
		}
		v.Name = next.Name
		unchanged, err := VaultUnchanged(view, vault)
		if err != nil {
			return err
		}
		_, err = i.Store.Commit(ctx, unchanged, store.Op{Value: next, Rev: rev}, write)
		return err
	})
	return next, err
}

// Update changes the attributes of a live item's version. change gets a copy.
func (i Items) Update(ctx context.Context, view *store.View, r *Ref, change func(*model.ItemVersion) error) (item *model.Item, v *model.ItemVersion, err error) {
	err = i.Retry(ctx, view, r, func(view *store.View) error {
		var e *store.Entry
		if item, e, err = r.Live(view); err != nil {
			return err
		}
		next := *e.Value.(*model.ItemVersion)
		if err := change(&next); err != nil {
			return err
		}
		v = &next
		_, err := i.Store.Put(ctx, v, e.Rev)
		return err
	})
	return item, v, err
}

// Retry makes a change of an item by compare-and-swap, and makes it anew when
// another writer was first: a PUT adds a version of its own, so losing is no answer.
//
// It gives ErrNoVault when the vault is not the view's any more. The caller was let into
// that one, and a purged vault's name can be another's by the time of the turn.
func (i Items) Retry(ctx context.Context, view *store.View, r *Ref, change func(*store.View) error) error {
	entered := view.First(model.VaultIndex(r.Vault))
	err := i.Store.InTurn(ctx, model.ItemKey(r.Kind, r.Vault, r.Name), view, func(view *store.View) error {
		now := view.First(model.VaultIndex(r.Vault))
		if entered == nil || now == nil || now.CreateRev != entered.CreateRev {
			return ErrNoVault
		}
		return change(view)
	})
	if errors.Is(err, store.ErrConflict) {
		return apierr.New(apierr.Throttled, "Too many requests change this %s at the same time.", r.Kind.Noun())
	}
	return err
}

// VaultUnchanged is the condition that a vault is there and was not changed. Without
// it an item could be written after its vault was purged, and would belong to the next
// vault of that name.
func VaultUnchanged(view *store.View, v *model.Vault) (store.Op, error) {
	e := view.Get(v.Key())
	if e == nil {
		return store.Op{}, ErrNoVault
	}
	return store.Op{Key: e.Key, Rev: e.Rev, Check: true}, nil
}
