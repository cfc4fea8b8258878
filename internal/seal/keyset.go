package seal

import (
	"bytes"
	"context"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// keysetName binds what the key-encryption key wraps to its purpose.
var keysetName = []byte("lanyard/keyset")

// wrapKeyset is the one place where a keyset is in clear on its way out. The
// key-encryption key adds what Tink's encrypted form leaves open: which key it was.
func wrapKeyset(ctx context.Context, h *keyset.Handle, kek KEK) ([]byte, error) {
	var clearText bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&clearText)); err != nil {
		return nil, fmt.Errorf("wrapping the keyset: %w", err)
	}
	defer clear(clearText.Bytes())
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return kek.Wrap(ctx, clearText.Bytes(), keysetName)
}

func unwrapKeyset(ctx context.Context, wrapped []byte, kek KEK) (*keyset.Handle, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	clearText, err := kek.Unwrap(ctx, wrapped, keysetName)
	if err != nil {
		return nil, err
	}
	defer clear(clearText)
	h, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(clearText)))
	if err != nil {
		return nil, fmt.Errorf("reading the unwrapped keyset: %w", err)
	}
	return h, nil
}
