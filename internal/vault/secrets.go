package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// set makes a new version, and the secret with it if there is none.
func (s *Server) set(w http.ResponseWriter, r *http.Request) error {
	t, err := parse(r)
	if err != nil {
		return err
	}
	var in items.Input
	if err := httpx.ReadJSON(r, &in); err != nil {
		return err
	}
	if in.Value == nil {
		return fail(badParameter, "The parameter value is required.")
	}
	if err := in.Check(); err != nil {
		return err
	}
	now := s.now().Unix()
	v := items.NewVersion(t.vault, t.name, now)
	if err := in.Apply(v, now); err != nil {
		return err
	}

	view, vault, err := s.enter(r, &t, access.ActionSetSecret)
	if err != nil {
		return err
	}

	sealed, err := s.sealer.Seal([]byte(*in.Value), v.Key())
	if err != nil {
		return fmt.Errorf("sealing %s: %w", v.Key(), err)
	}
	h, err := s.addVersion(r.Context(), view, vault, v, sealed)
	if err != nil {
		return err
	}

	b := newBundle(t.set, vault, h, v, true)
	b.Value = in.Value
	return httpx.WriteJSON(w, http.StatusOK, b)
}

// addVersion writes a version, and words why it could not.
func (s *Server) addVersion(ctx context.Context, view *store.View, vault *model.Vault, v *model.SecretVersion, sealed []byte) (*model.Secret, error) {
	h, err := items.Add(ctx, s.store, view, vault, v, sealed)
	if taken, ok := errors.AsType[*items.TakenError](err); ok {
		return nil, nameTaken(taken.Secret)
	}
	return h, gone(err, vault)
}

// gone words that a vault was purged meanwhile; other errors pass.
func gone(err error, vault *model.Vault) error {
	if errors.Is(err, items.ErrNoVault) {
		return noVault(vault.Name)
	}
	return err
}

// get reads a version's value, or the current one's.
func (s *Server) get(w http.ResponseWriter, r *http.Request) error {
	t, err := parse(r)
	if err != nil {
		return err
	}

	view, vault, err := s.enter(r, &t, access.ActionGetSecret)
	if err != nil {
		return err
	}

	h, e, err := find(view, &t)
	if err != nil {
		return err
	}
	v := e.Value.(*model.SecretVersion)
	if v.Disabled {
		return disabled()
	}
	value, err := s.value(r.Context(), e)
	if err != nil {
		return err
	}
	if value == nil {
		return secretMissing(t.id())
	}

	b := newBundle(t.set, vault, h, v, true)
	plain := string(value)
	b.Value = &plain
	return httpx.WriteJSON(w, http.StatusOK, b)
}

// value opens a version's sealed value; nil when it was purged since the view.
func (s *Server) value(ctx context.Context, e *store.Entry) ([]byte, error) {
	sealed, err := s.store.Blob(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", e.Key, err)
	}
	if sealed == nil {
		return nil, nil
	}
	value, err := s.sealer.Open(sealed, e.Key)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", e.Key, err)
	}
	if value == nil {
		value = []byte{}
	}
	return value, nil
}

// update changes a version's attributes; its value never changes.
func (s *Server) update(w http.ResponseWriter, r *http.Request) error {
	t, err := parse(r)
	if err != nil {
		return err
	}
	var in items.Input
	if err := httpx.ReadJSON(r, &in); err != nil {
		return err
	}
	in.Value = nil
	if err := in.Check(); err != nil {
		return err
	}

	view, vault, err := s.enter(r, &t, access.ActionSetSecret)
	if err != nil {
		return err
	}

	var h *model.Secret
	var next model.SecretVersion
	err = items.Again(r.Context(), s.store, view, func(view *store.View) error {
		found, e, err := find(view, &t)
		if err != nil {
			return err
		}
		h, next = found, *e.Value.(*model.SecretVersion)
		if err := in.Apply(&next, s.now().Unix()); err != nil {
			return err
		}
		changed := next
		_, err = s.store.Put(r.Context(), &changed, e.Rev)
		return err
	})
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, newBundle(t.set, vault, h, &next, true))
}

// list names the live secrets with their current version's attributes.
func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	return s.listHeads(w, r, "/secrets", func(h *model.Secret) bool { return h.Deleted == nil })
}

// listHeads lists the secrets that keep says, live or deleted.
func (s *Server) listHeads(w http.ResponseWriter, r *http.Request, path string, keep func(*model.Secret) bool) error {
	t, err := parse(r)
	if err != nil {
		return err
	}
	p, err := parsePage(&t, path, model.SecretsKey(t.vault), model.ValidSecretName)
	if err != nil {
		return err
	}

	view, vault, err := s.enter(r, &t, access.ActionReadMetadata)
	if err != nil {
		return err
	}

	return httpx.WriteJSON(w, http.StatusOK, p.collect(view, func(e *store.Entry) *bundle {
		h, ok := e.Value.(*model.Secret)
		if !ok || !keep(h) {
			return nil
		}
		v, _, ok := store.Get[*model.SecretVersion](view, model.SecretVersionKey(h.Vault, h.Name, h.Current))
		if !ok {
			return nil
		}
		return newBundle(t.set, vault, h, v, false)
	}))
}

// versions lists a secret's versions. Of a secret that is not there it lists
// none: Key Vault gives no error either.
func (s *Server) versions(w http.ResponseWriter, r *http.Request) error {
	t, err := parse(r)
	if err != nil {
		return err
	}
	p, err := parsePage(&t, "/secrets/"+t.name+"/versions", model.SecretVersionsKey(t.vault, t.name), validID)
	if err != nil {
		return err
	}

	view, vault, err := s.enter(r, &t, access.ActionReadMetadata)
	if err != nil {
		return err
	}

	h, _ := head(view, &t)
	return httpx.WriteJSON(w, http.StatusOK, p.collect(view, func(e *store.Entry) *bundle {
		v, ok := e.Value.(*model.SecretVersion)
		if !ok || h == nil || h.Deleted != nil {
			return nil
		}
		return newBundle(t.set, vault, h, v, true)
	}))
}
