package seal

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// errOpen says no more, because an attacker who can write to the store would learn from it.
var errOpen = errors.New("the sealed value does not open: it was changed, or belongs to another name")

// Sealer seals and opens with the keys of one keyset. It is safe for
// concurrent use; Load replaces its keys.
type Sealer struct {
	keys atomic.Pointer[dataKeys]
}

// dataKeys is an unwrapped keyset and the key that wraps it; immutable.
type dataKeys struct {
	kek    KEK
	handle *keyset.Handle
	aead   tink.AEAD
	prefix string   // of what the primary key sealed
	known  []string // prefixes of what any key sealed
}

// New makes a Sealer with a new keyset of one random data key.
func New(kek KEK) (*Sealer, error) {
	return withNewPrimary(keyset.NewManager(), kek)
}

// Unwrap makes a Sealer from a wrapped keyset. Another key gives ErrWrongKey.
func Unwrap(ctx context.Context, wrapped []byte, kek KEK) (*Sealer, error) {
	h, err := unwrapKeyset(ctx, wrapped, kek)
	if err != nil {
		return nil, err
	}
	return newSealer(h, kek)
}

// Wrap is the keyset, encrypted by the key-encryption key: what to store.
func (s *Sealer) Wrap(ctx context.Context) ([]byte, error) {
	k := s.keys.Load()
	return wrapKeyset(ctx, k.handle, k.kek)
}

// KEK names the key-encryption key.
func (s *Sealer) KEK() string { return s.keys.Load().kek.ID() }

// Load replaces the keys by those of another wrapped keyset: another replica
// rotated.
func (s *Sealer) Load(ctx context.Context, wrapped []byte) error {
	next, err := Unwrap(ctx, wrapped, s.keys.Load().kek)
	if err != nil {
		return err
	}
	s.keys.Store(next.keys.Load())
	return nil
}

// Rotated is a copy of s with a new primary data key; the old ones still open.
// AES-GCM with random nonces allows 2^32 values per key: rotate well before.
// https://csrc.nist.gov/pubs/sp/800/38/d/final
func (s *Sealer) Rotated() (*Sealer, error) {
	k := s.keys.Load()
	return withNewPrimary(keyset.NewManagerFromHandle(k.handle), k.kek)
}

// Seal encrypts a value for one place: name, the storage key, is the associated
// data, so the result opens under that name only.
func (s *Sealer) Seal(value []byte, name string) ([]byte, error) {
	sealed, err := s.keys.Load().aead.Encrypt(value, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("sealing a value: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made under the same name.
func (s *Sealer) Open(sealed []byte, name string) ([]byte, error) {
	k := s.keys.Load()
	value, err := k.aead.Decrypt(sealed, []byte(name))
	if err == nil {
		return value, nil
	}
	if id, ok := sealedBy(sealed); ok && !k.has(sealed) {
		return nil, fmt.Errorf("the value was sealed with data key %08x, which this keyset does not have", id)
	}
	return nil, errOpen
}

// Current says whether sealed was made with the primary data key.
func (s *Sealer) Current(sealed []byte) bool {
	return hasPrefix(sealed, s.keys.Load().prefix)
}

func withNewPrimary(m *keyset.Manager, kek KEK) (*Sealer, error) {
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("making a data key: %w", err)
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("making a data key: %w", err)
	}
	h, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("making a keyset: %w", err)
	}
	return newSealer(h, kek)
}

func newSealer(h *keyset.Handle, kek KEK) (*Sealer, error) {
	a, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("using the keyset: %w", err)
	}
	info := h.KeysetInfo()
	k := &dataKeys{kek: kek, handle: h, aead: a, prefix: prefix(info.GetPrimaryKeyId())}
	for _, key := range info.GetKeyInfo() {
		k.known = append(k.known, prefix(key.GetKeyId()))
	}
	s := &Sealer{}
	s.keys.Store(k)
	return s, nil
}

func (k *dataKeys) has(sealed []byte) bool {
	for _, p := range k.known {
		if hasPrefix(sealed, p) {
			return true
		}
	}
	return false
}
