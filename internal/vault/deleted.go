package vault

import (
	"net/http"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const day = 24 * time.Hour

// remove deletes a secret with all its versions; it can be recovered until its
// scheduled purge. The deletion is complete when the answer is sent.
func (s *Server) remove(w http.ResponseWriter, r *http.Request) error {
	t, err := parse(r)
	if err != nil {
		return err
	}

	view, vault, err := s.enter(r, &t, access.ActionDeleteSecret)
	if err != nil {
		return err
	}

	now := s.now().UTC().Truncate(time.Second)
	gone := &model.Deletion{At: now, Purge: now.Add(time.Duration(retention(vault)) * day)}
	h, v, err := s.changeHead(r, view, &t, func(h *model.Secret) error {
		if h == nil || h.Deleted != nil {
			return secretMissing(t.name)
		}
		h.Deleted = gone
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, newBundle(t.set, vault, h, v, true))
}

// recover makes a deleted secret live again.
func (s *Server) recover(w http.ResponseWriter, r *http.Request) error {
	t, err := parse(r)
	if err != nil {
		return err
	}

	view, vault, err := s.enter(r, &t, access.ActionRecoverSecret)
	if err != nil {
		return err
	}

	h, v, err := s.changeHead(r, view, &t, func(h *model.Secret) error {
		switch {
		case h == nil || h.Deleted == nil:
			return deletedMissing(t.name)
		case unfinished(h):
			return nameTaken(h)
		}
		h.Deleted = nil
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, newBundle(t.set, vault, h, v, true))
}

// changeHead changes a copy of the head and stores it; change gets nil when
// there is none. It returns the new head and its current version.
func (s *Server) changeHead(r *http.Request, view *store.View, t *target, change func(*model.Secret) error) (*model.Secret, *model.SecretVersion, error) {
	var next *model.Secret
	var v *model.SecretVersion
	err := items.Again(r.Context(), s.store, view, func(view *store.View) error {
		h, rev := head(view, t)
		if h == nil {
			return change(nil)
		}
		copied := *h
		next = &copied
		if err := change(next); err != nil {
			return err
		}
		var ok bool
		v, _, ok = store.Get[*model.SecretVersion](view, model.SecretVersionKey(t.vault, t.name, next.Current))
		if !ok {
			return secretMissing(t.name)
		}
		_, err := s.store.Put(r.Context(), next, rev)
		return err
	})
	return next, v, err
}

// purge removes a deleted secret and all its versions for good.
func (s *Server) purge(w http.ResponseWriter, r *http.Request) error {
	t, err := parse(r)
	if err != nil {
		return err
	}

	view, vault, err := s.enter(r, &t, access.ActionPurgeSecret)
	if err != nil {
		return err
	}

	err = items.Again(r.Context(), s.store, view, func(view *store.View) error {
		h, rev := head(view, &t)
		switch {
		case h == nil || h.Deleted == nil:
			return deletedMissing(t.name)
		case unfinished(h):
			return nameTaken(h)
		case vault.PurgeProtected:
			return fail(purgeProtected, `Operation "purge" is not allowed because purge protection is enabled for this vault. `+
				"Key Vault service will automatically purge it after the retention period has passed. Vault: %s;location=%s", vault.Name, vault.Location)
		}
		_, err := s.store.Commit(r.Context(), erase(h, rev)...)
		return err
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// erase removes a head as it was at rev, its versions and their values.
func erase(h *model.Secret, rev int64) []store.Op {
	return []store.Op{
		{Key: h.Key(), Rev: rev},
		{Key: model.SecretVersionsKey(h.Vault, h.Name), Rev: store.Any, Tree: true},
	}
}

// getDeleted shows a deleted secret, without its value.
func (s *Server) getDeleted(w http.ResponseWriter, r *http.Request) error {
	t, err := parse(r)
	if err != nil {
		return err
	}

	view, vault, err := s.enterAs(r, &t, func(v *model.Vault) string {
		if v.Roles {
			return access.ActionReadMetadata
		}
		return access.ActionGetSecret // access policies ask for get, not for list
	})
	if err != nil {
		return err
	}

	h, _ := head(view, &t)
	if h == nil || h.Deleted == nil {
		return deletedMissing(t.name)
	}
	v, _, ok := store.Get[*model.SecretVersion](view, model.SecretVersionKey(t.vault, t.name, h.Current))
	if !ok { // a restore that has not ended
		return deletedMissing(t.name)
	}
	if v.Disabled { // which tells SDKs that poll for it that it is deleted, too
		return disabled()
	}
	return httpx.WriteJSON(w, http.StatusOK, newBundle(t.set, vault, h, v, true))
}

// listDeleted lists the deleted secrets.
func (s *Server) listDeleted(w http.ResponseWriter, r *http.Request) error {
	return s.listHeads(w, r, "/deletedsecrets", func(h *model.Secret) bool { return h.Deleted != nil })
}
