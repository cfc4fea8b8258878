// Package seal encrypts what Lanyard stores: secret values and private keys.
// Data keys live in a keyset; the keyset is wrapped by a key-encryption key
// from a file that only the server's user can read. It stores nothing itself.
package seal

import "errors"

// ErrWrongKey is in the chain when the key file cannot open a keyset.
var ErrWrongKey = errors.New("the key file does not open this store")

// KeyFile is the key-encryption key: one or more 256-bit keys in a 0600 file,
// the first of which wraps; the others only unwrap, so that it can be rotated.
type KeyFile struct{ _ int }

// CreateKeyFile makes a new key file, 0600; it fails when path exists.
func CreateKeyFile(path string) (*KeyFile, error) { panic("todo") }

// OpenKeyFile reads a key file. It refuses one that others may read, and says
// what to do about a missing, short or garbled one.
func OpenKeyFile(path string) (*KeyFile, error) { panic("todo") }

// RotateKeyFile puts a new key first, atomically. The keyset must be rewrapped
// (Sealer.Wrap) before DropOldKeys.
func RotateKeyFile(path string) (*KeyFile, error) { panic("todo") }

// DropOldKeys leaves only the first key in the file, atomically.
func DropOldKeys(path string) (*KeyFile, error) { panic("todo") }

// Sealer seals and opens with the keys of one keyset. It is safe for
// concurrent use; Load replaces its keys.
type Sealer struct{ _ int }

// New makes a Sealer with a new keyset of one random data key.
func New(kek *KeyFile) (*Sealer, error) { panic("todo") }

// Unwrap makes a Sealer from a wrapped keyset. A wrong key file gives ErrWrongKey.
func Unwrap(wrapped []byte, kek *KeyFile) (*Sealer, error) { panic("todo") }

// Wrap is the keyset, encrypted under the key file's first key: what to store.
func (s *Sealer) Wrap() ([]byte, error) { panic("todo") }

// Load replaces the keys by those of another wrapped keyset (another replica rotated).
func (s *Sealer) Load(wrapped []byte) error { panic("todo") }

// Rotated is a copy of s with a new primary data key; the old ones still open.
func (s *Sealer) Rotated() (*Sealer, error) { panic("todo") }

// Seal encrypts a value for one place: name, the storage key, is the associated
// data, so the result opens under that name only.
func (s *Sealer) Seal(value []byte, name string) ([]byte, error) { panic("todo") }

// Open decrypts what Seal made under the same name.
func (s *Sealer) Open(sealed []byte, name string) ([]byte, error) { panic("todo") }

// Current says whether sealed was made with the primary data key.
func (s *Sealer) Current(sealed []byte) bool { panic("todo") }
