package seal

import (
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

// dataKeys is an unwrapped keyset and the key file that wraps it; immutable.
type dataKeys struct {
	kek    *KeyFile
	handle *keyset.Handle
	aead   tink.AEAD
	prefix string   // of what the primary key sealed
	known  []string // prefixes of what any key sealed
}

// New makes a Sealer with a new keyset of one random data key.
func New(kek *KeyFile) (*Sealer, error) {
	return withNewPrimary(keyset.NewManager(), kek)
}

// Unwrap makes a Sealer from a wrapped keyset. A wrong key file gives ErrWrongKey.
func Unwrap(wrapped []byte, kek *KeyFile) (*Sealer, error) {
	h, err := kek.unwrap(wrapped)
	if err != nil {
		return nil, err
	}
	return newSealer(h, kek)
}

// Wrap is the keyset, encrypted under the key file's first key: what to store.
func (s *Sealer) Wrap() ([]byte, error) {
	k := s.keys.Load()
	return k.kek.wrap(k.handle)
}

// Load replaces the keys by those of another wrapped keyset (another replica
// rotated). When a key is missing, it reads the key file again: that may have
// been rotated too.
func (s *Sealer) Load(wrapped []byte) error {
	kek := s.keys.Load().kek
	h, err := kek.unwrap(wrapped)
	if errors.Is(err, ErrWrongKey) {
		if kek, err = OpenKeyFile(kek.path); err != nil {
			return err
		}
		h, err = kek.unwrap(wrapped)
	}
	if err != nil {
		return err
	}
	next, err := newSealer(h, kek)
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

func withNewPrimary(m *keyset.Manager, kek *KeyFile) (*Sealer, error) {
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

func newSealer(h *keyset.Handle, kek *KeyFile) (*Sealer, error) {
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
