package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// ErrWrongKey is in the chain when the key file cannot open a keyset.
var ErrWrongKey = errors.New("the key file does not open this store")

// A wrapped keyset is a version byte, the id of the key that wrapped it, and
// AES-256-GCM with its nonce in front. Name, version and id are the associated data.
const (
	wrapName    = "lanyard/keyset"
	wrapVersion = 1
	wrapHeader  = 1 + idLength
)

// kek is one key-encryption key, ready for use.
type kek struct {
	id   keyID
	aead cipher.AEAD
}

func newKEK(k *fileKey) (kek, error) {
	block, err := aes.NewCipher(k.secret[:])
	if err != nil {
		return kek{}, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return kek{}, err
	}
	return kek{id: k.id(), aead: gcm}, nil
}

func (f *KeyFile) wrap(h *keyset.Handle) ([]byte, error) {
	// The keyset is in clear only here, on its way into our own AEAD, which adds
	// what Tink's encrypted form leaves open: the key's id, under authentication.
	var clearText bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&clearText)); err != nil {
		return nil, fmt.Errorf("wrapping the keyset: %w", err)
	}
	defer clear(clearText.Bytes())

	first := f.keys[0]
	header := append([]byte{wrapVersion}, first.id[:]...)
	return first.aead.Seal(header, nil, clearText.Bytes(), wrapData(header)), nil
}

func (f *KeyFile) unwrap(wrapped []byte) (*keyset.Handle, error) {
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
	clearText, err := k.aead.Open(nil, nil, sealed, wrapData(header))
	if err != nil {
		return nil, fmt.Errorf("the stored keyset is damaged: key %s does not open it", k.id)
	}
	defer clear(clearText)
	h, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(clearText)))
	if err != nil {
		return nil, fmt.Errorf("reading the unwrapped keyset: %w", err)
	}
	return h, nil
}

func (f *KeyFile) find(id keyID) (kek, error) {
	have := make([]string, 0, len(f.keys))
	for _, k := range f.keys {
		if k.id == id {
			return k, nil
		}
		have = append(have, k.id.String())
	}
	return kek{}, fmt.Errorf("%w: it needs key %s, and %s has %s: restore the key file that belongs to this store",
		ErrWrongKey, id, f.path, strings.Join(have, ", "))
}

func wrapData(header []byte) []byte { return append([]byte(wrapName+"\x00"), header...) }

// idLength is how many bytes of a hash of the key identify it.
const idLength = 8

type keyID [idLength]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }
