package vault

import (
	"net/http"
	"time"

	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const day = 24 * time.Hour

// remove deletes an item with all its versions; it can be recovered until its
// scheduled purge. The deletion is complete when the answer is sent.
func (c *call) remove() (answer, error) {
	now := c.s.now().UTC().Truncate(time.Second)
	deletion := &model.Deletion{At: now, Purge: now.Add(time.Duration(retention(c.vault)) * day)}
	return c.changeItem(func(item *model.Item) error {
		if item == nil || item.Deleted != nil {
			return items.ErrMissing
		}
		item.Deleted = deletion
		return nil
	})
}

// recover makes a deleted item live again.
func (c *call) recover() (answer, error) {
	return c.changeItem(func(item *model.Item) error {
		if err := c.recoverable(item); err != nil {
			return err
		}
		item.Deleted = nil
		return nil
	})
}

// recoverable says why item is not a deleted one whose restore has ended.
func (c *call) recoverable(item *model.Item) error {
	switch {
	case item == nil || item.Deleted == nil:
		return c.deletedMissing()
	case unfinished(item):
		return nameTaken(item)
	}
	return nil
}

// changeItem changes a copy of the item and stores it; change gets nil when there is
// none. The answer shows the current version.
func (c *call) changeItem(change func(*model.Item) error) (answer, error) {
	var next *model.Item
	var v *model.ItemVersion
	err := c.s.items.Retry(c.r.Context(), c.view, &c.Ref, func(view *store.View) error {
		item, rev := c.Find(view)
		if item == nil {
			return change(nil)
		}
		copied := *item
		next = &copied
		if err := change(next); err != nil {
			return err
		}
		if v = currentVersion(view, next); v == nil {
			return items.ErrMissing
		}
		_, err := c.s.store.Put(c.r.Context(), next, rev)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	return ok(c.kind.show(c, next, v, true)), nil
}

// currentVersion is nil for an item whose restore has not ended.
func currentVersion(view *store.View, item *model.Item) *model.ItemVersion {
	v, _, _ := store.Get[*model.ItemVersion](view, model.VersionKey(item.ItemKind, item.Vault, item.Name, item.Current))
	return v
}

// purge removes a deleted item and all its versions for good, unless the vault protects
// them by now: a purge may have waited for its turn.
func (c *call) purge() (answer, error) {
	err := c.s.items.Retry(c.r.Context(), c.view, &c.Ref, func(view *store.View) error {
		item, rev := c.Find(view)
		if err := c.recoverable(item); err != nil {
			return err
		}
		now, _, ok := store.Get[*model.Vault](view, c.vault.Key())
		if !ok {
			return items.ErrNoVault
		}
		if now.PurgeProtected {
			return fail(purgeProtected, `Operation "purge" is not allowed because purge protection is enabled for this vault. `+
				"Key Vault service will automatically purge it after the retention period has passed. Vault: %s;location=%s", now.Name, now.Location)
		}
		unchanged, err := items.VaultUnchanged(view, now)
		if err != nil {
			return err
		}
		_, err = c.s.store.Commit(c.r.Context(), append(erase(item, rev), unchanged)...)
		return err
	})
	return answer{status: http.StatusNoContent}, err
}

// erase removes an item as it was at rev, its versions and their values.
func erase(item *model.Item, rev int64) []store.Op {
	return []store.Op{
		{Key: item.Key(), Rev: rev},
		{Key: model.VersionsKey(item.ItemKind, item.Vault, item.Name), Rev: store.Any, Tree: true},
	}
}

// getDeleted shows a deleted item, without its value.
func (c *call) getDeleted() (answer, error) {
	item, _ := c.Find(c.view)
	if item == nil || item.Deleted == nil {
		return answer{}, c.deletedMissing()
	}
	v := currentVersion(c.view, item)
	if v == nil {
		return answer{}, c.deletedMissing()
	}
	if err := c.readable(v); err != nil { // which tells SDKs that poll for it that it is deleted, too
		return answer{}, err
	}
	return ok(c.kind.show(c, item, v, true)), nil
}
