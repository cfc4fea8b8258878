package seal

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	keyLength = 32
	// keyComment tells whoever finds the file what it is.
	keyComment = "# Lanyard key-encryption key. Whoever has this file and the store can read every secret.\n" +
		"# Keep a backup of it, apart from the store's: without it the store cannot be opened.\n"
)

// fileKey is a key as the file has it.
type fileKey struct{ secret [keyLength]byte }

func newFileKey() (k fileKey) {
	rand.Read(k.secret[:])
	return k
}

// id is made from the key, so that a mistyped line is noticed.
func (k *fileKey) id() (id keyID) {
	h := sha256.New()
	h.Write([]byte("lanyard key-encryption key\x00"))
	h.Write(k.secret[:])
	copy(id[:], h.Sum(nil))
	return id
}

// formatKeys writes comment lines, then "ID BASE64" for each key, the wrapping one first.
func formatKeys(keys []fileKey) []byte {
	// The buffer never grows: an outgrown one would keep keys in memory.
	lineLength := hex.EncodedLen(idLength) + 1 + base64.StdEncoding.EncodedLen(keyLength) + 1
	text := make([]byte, 0, len(keyComment)+len(keys)*lineLength)
	text = append(text, keyComment...)
	for i := range keys {
		id := keys[i].id()
		text = hex.AppendEncode(text, id[:])
		text = append(text, ' ')
		text = base64.StdEncoding.AppendEncode(text, keys[i].secret[:])
		text = append(text, '\n')
	}
	return text
}

// parseKeys reads what formatKeys wrote. Its errors name lines, never content.
func parseKeys(text []byte) ([]fileKey, error) {
	keys := make([]fileKey, 0, bytes.Count(text, []byte("\n"))+1)
	seen := map[keyID]bool{}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		k, err := parseKey(line)
		if err != nil {
			clear(keys)
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if seen[k.id()] {
			clear(keys)
			return nil, fmt.Errorf("line %d: the same key again", number)
		}
		seen[k.id()] = true
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it")
	}
	return keys, nil
}

func parseKey(line []byte) (k fileKey, err error) {
	idText, keyText, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(idText) != hex.EncodedLen(idLength) {
		return k, errors.New("want a key id, a space and a key")
	}
	var id keyID
	if _, err := hex.Decode(id[:], idText); err != nil {
		return k, errors.New("the key id is not hexadecimal")
	}
	if len(keyText) != base64.StdEncoding.EncodedLen(keyLength) {
		return k, fmt.Errorf("the key has %d characters, want %d", len(keyText), base64.StdEncoding.EncodedLen(keyLength))
	}
	secret, err := base64.StdEncoding.Strict().AppendDecode(make([]byte, 0, keyLength+1), keyText)
	defer clear(secret)
	if err != nil || len(secret) != keyLength {
		return k, errors.New("the key is not base64 of 32 bytes")
	}
	copy(k.secret[:], secret)
	if k.id() != id {
		return fileKey{}, errors.New("the key does not match its id")
	}
	return k, nil
}
