package signing

import (
	"errors"
	"fmt"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// ring is all keys at one revision; immutable, but for its memory of tokens.
type ring struct {
	rev      int64
	stored   []model.SigningKey
	keys     map[string]*key // by kid
	signers  map[Alg]*key    // one for each algorithm
	document *Document
	verified verified
}

// newRing reads the stored keys, reusing what the ring before has unsealed. A
// private part that does not unseal is a fault of its key, not an error: the
// others' tokens must still be verified.
func (k *Keys) newRing(e *store.Entry, before *ring) (*ring, error) {
	stored, ok := e.Value.(*model.SigningKeys)
	if !ok {
		return nil, errors.New("the stored signing keys are of another kind")
	}
	r := &ring{rev: e.Rev, stored: stored.Keys, keys: map[string]*key{}, signers: map[Alg]*key{}}
	var published []jwk
	for _, s := range stored.Keys {
		key, j, err := open(s, k.schedule().dropAt(s))
		if err != nil {
			return nil, err
		}
		if r.keys[key.id] != nil {
			return nil, fmt.Errorf("signing key %s is stored twice", key.id)
		}
		if s.Retired.IsZero() {
			k.addPrivate(key, s, before)
		}
		if s.Retired.IsZero() && !s.Active.IsZero() {
			if other := r.signers[key.alg]; other != nil {
				return nil, fmt.Errorf("the stored signing keys are damaged: both %s and %s sign %s", other.id, key.id, key.alg)
			}
			r.signers[key.alg] = key
		}
		r.keys[key.id] = key
		published = append(published, j)
	}
	for _, alg := range [...]Alg{ES256, RS256} {
		if r.signers[alg] == nil {
			return nil, fmt.Errorf("the stored signing keys are damaged: none signs %s", alg)
		}
	}
	var err error
	r.document, err = newDocument(published)
	return r, err
}

// addPrivate gives a key its private part: that of the ring before, or unsealed anew,
// which for RSA takes longer than a signature.
func (k *Keys) addPrivate(key *key, s model.SigningKey, before *ring) {
	if before != nil {
		if old := before.keys[key.id]; old != nil && old.private != nil {
			key.private = old.private
			return
		}
	}
	key.private, key.fault = k.unseal(s, key.public)
}

// fault is why a key that signs, or will, has no private part.
func (r *ring) fault() error {
	for _, s := range r.stored {
		if err := r.keys[s.ID].fault; err != nil {
			return err
		}
	}
	return nil
}
