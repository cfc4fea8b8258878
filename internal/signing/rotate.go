package signing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// rotateTimeout bounds one rotation, its writes included.
const rotateTimeout = 30 * time.Second

// Rotate prepares, activates, retires and drops keys as their times have come;
// with force, a new key takes over signing at once, and a prepared one is
// dropped. It says whether this call changed anything: losing the race to
// another replica is not an error.
func (k *Keys) Rotate(ctx context.Context, force bool) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, rotateTimeout)
	defer cancel()
	changed, err = k.rotate(ctx, force)
	if err != nil {
		return false, fmt.Errorf("rotating the signing keys: %w", err)
	}
	return changed, nil
}

func (k *Keys) rotate(ctx context.Context, force bool) (bool, error) {
	v, err := k.c.Store.View()
	if err == nil && force { // a request by hand must not lose to a stale View
		v, err = k.c.Store.Fresh(ctx)
	}
	if err != nil {
		return false, err
	}
	r, err := k.at(v)
	if err != nil {
		return false, err
	}
	next, changed, err := k.schedule().advance(r.stored, k.now(), force, k.generate)
	if err != nil || !changed {
		return false, err
	}
	if err := k.sealNothing(next); err != nil {
		return false, err
	}

	_, err = k.c.Store.Put(ctx, &model.SigningKeys{Keys: next}, r.rev)
	lost := errors.Is(err, store.ErrConflict)
	if err != nil && !lost {
		return false, err
	}
	if v, err = k.c.Store.Fresh(ctx); err != nil {
		return !lost, err
	}
	if r, err = k.at(v); err != nil || lost {
		return !lost, err
	}
	k.c.Log.InfoContext(ctx, "rotated the signing keys", "forced", force,
		"es256", r.signers[ES256].id, "rs256", r.signers[RS256].id, "published", len(r.keys))
	return true, nil
}

// sealNothing puts a sealed empty value in the place of a retired key's private part,
// so that every stored key is sealed, and can be sealed again, alike.
func (k *Keys) sealNothing(keys []model.SigningKey) error {
	for i := range keys {
		s := &keys[i]
		if s.Retired.IsZero() || s.Sealed != nil {
			continue
		}
		var err error
		if s.Sealed, err = k.c.Sealer.Seal(nil, s.SealName()); err != nil {
			return err
		}
	}
	return nil
}
