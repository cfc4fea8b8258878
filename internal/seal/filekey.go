package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// What a key file wraps is a version byte, the id of the key that wrapped it, and
// AES-256-GCM with its nonce in front. The caller's associated data, version and id
// are authenticated with it.
const (
	wrapVersion = 1
	wrapHeader  = 1 + idLength
)

// aeadKey is one key of a key file, ready for use.
type aeadKey struct {
	id   keyID
	aead cipher.AEAD
}

func newAEADKey(k *fileKey) (aeadKey, error) {
	block, err := aes.NewCipher(k.secret[:])
	if err != nil {
		return aeadKey{}, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return aeadKey{}, err
	}
	return aeadKey{id: k.id(), aead: gcm}, nil
}

// ID implements KEK.
func (f *KeyFile) ID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keys[0].id.String()
}

// Wrap implements KEK, with the file's first key.
func (f *KeyFile) Wrap(_ context.Context, key, associated []byte) ([]byte, error) {
	f.mu.Lock()
	first := f.keys[0]
	f.mu.Unlock()
	header := append([]byte{wrapVersion}, first.id[:]...)
	return first.aead.Seal(header, nil, key, wrapData(associated, header)), nil
}

// Unwrap implements KEK. When a key is missing, it reads the file again: that may
// have been rotated by another process.
func (f *KeyFile) Unwrap(_ context.Context, wrapped, associated []byte) ([]byte, error) {
	if len(wrapped) < wrapHeader {
		return nil, errors.New("the stored keyset is damaged: it is too short")
	}
	header, sealed := wrapped[:wrapHeader], wrapped[wrapHeader:]
	if header[0] != wrapVersion {
		return nil, fmt.Errorf("the stored keyset has version %d, this program knows %d", header[0], wrapVersion)
	}
	k, err := f.find(keyID(header[1:]))
	if err != nil {
		return nil, err
	}
	key, err := k.aead.Open(nil, nil, sealed, wrapData(associated, header))
	if err != nil {
		return nil, fmt.Errorf("the stored keyset is damaged: key %s does not open it", k.id)
	}
	return key, nil
}

func (f *KeyFile) find(id keyID) (aeadKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, ok := among(f.keys, id); ok {
		return k, nil
	}
	again, err := OpenKeyFile(f.path)
	if err != nil {
		return aeadKey{}, err
	}
	k, ok := among(again.keys, id)
	if !ok {
		return aeadKey{}, again.lacks(id)
	}
	f.keys = again.keys
	return k, nil
}

func among(keys []aeadKey, id keyID) (aeadKey, bool) {
	for _, k := range keys {
		if k.id == id {
			return k, true
		}
	}
	return aeadKey{}, false
}

func (f *KeyFile) lacks(id keyID) error {
	have := make([]string, 0, len(f.keys))
	for _, k := range f.keys {
		have = append(have, k.id.String())
	}
	return fmt.Errorf("%w: it needs key %s, and %s has %s: restore the key file that belongs to this store",
		ErrWrongKey, id, f.path, strings.Join(have, ", "))
}

func wrapData(associated, header []byte) []byte {
	data := make([]byte, 0, len(associated)+1+len(header))
	return append(append(append(data, associated...), 0), header...)
}

// idLength is how many bytes of a hash of the key identify it.
const idLength = 8

type keyID [idLength]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }
