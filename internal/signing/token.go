package signing

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/strictjson"
)

const (
	maxToken  = 32 << 10
	maxHeader = 1 << 10
)

// Sign makes a compact JWT of the claims, which are JSON, with the active key
// of alg; its header is typ, alg, kid and x5t (the same value as kid).
func (k *Keys) Sign(alg Alg, claims []byte) (string, error) {
	r, err := k.current()
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	key := r.signers[alg]
	if key == nil {
		return "", fmt.Errorf("signing a token: unknown algorithm %q", alg)
	}
	if key.fault != nil {
		return "", fmt.Errorf("signing a token: %w", unavailable(key.fault))
	}
	b64 := base64.RawURLEncoding
	length := len(key.header) + b64.EncodedLen(len(claims)) + 1 + b64.EncodedLen(key.signatureLength())
	if length > maxToken {
		return "", fmt.Errorf("signing a token: %d bytes are more than the most that is accepted, %d", length, maxToken)
	}

	token := make([]byte, 0, length)
	token = append(token, key.header...)
	token = b64.AppendEncode(token, claims)
	digest := sha256.Sum256(token)
	signature, err := key.sign(digest[:])
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	token = append(token, '.')
	token = b64.AppendEncode(token, signature)
	return string(token), nil
}

// Verify checks a compact JWT that one of our published keys signed, and
// returns its claims as JSON. It checks the signature only, not the times. The
// error is apierr.Unauthenticated, or apierr.Unavailable when the store is out
// of touch.
func (k *Keys) Verify(token string) (claims string, err error) {
	r, err := k.current()
	if err != nil {
		return "", fmt.Errorf("verifying a token: %w", err)
	}
	if len(token) > maxToken {
		return "", refuse("it is too long")
	}
	sum := sha256.Sum256([]byte(token))
	if p := r.verified.find(sum); p != nil && p.key.accepted(k.c.Now()) {
		return p.claims, nil
	}

	t, err := parse(token)
	if err != nil {
		return "", err
	}
	key := r.keys[t.kid]
	if key == nil {
		if r, err = k.reload(t.kid); err != nil {
			return "", err
		}
		if key = r.keys[t.kid]; key == nil {
			return "", refuse("no published key has its key id")
		}
	}
	switch {
	case !key.accepted(k.c.Now()):
		return "", refuse("its key is no longer published")
	case key.alg != t.alg:
		return "", refuse("its algorithm is not its key's")
	case !key.verify(t.digest[:], t.signature):
		return "", refuse("its signature is wrong")
	}
	p := &proven{key: key, claims: string(t.claims)}
	r.verified.add(sum, p)
	return p.claims, nil
}

// reload looks for a key that another replica has just made, if the id can be one of
// ours.
func (k *Keys) reload(kid string) (*ring, error) {
	if len(kid) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
		return nil, refuse("its key id is none of ours")
	}
	if err := k.refresh(); err != nil {
		return nil, fmt.Errorf("verifying a token: %w", err)
	}
	return k.current()
}

// compact is a JWT whose form is right; nothing about it is verified.
type compact struct {
	alg       Alg
	kid       string
	claims    []byte
	signature []byte
	digest    [sha256.Size]byte // of the signed bytes
}

// parse reads the JWS compact serialization, in its one canonical form.
// https://www.rfc-editor.org/rfc/rfc7515#section-7.1
func parse(token string) (*compact, error) {
	head, rest, ok := strings.Cut(token, ".")
	body, tail, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(tail, ".") {
		return nil, refuse("it has not three parts")
	}
	if base64.RawURLEncoding.DecodedLen(len(head)) > maxHeader {
		return nil, refuse("its header is too long")
	}
	header, err := decode(head)
	if err != nil {
		return nil, err
	}
	t := &compact{digest: sha256.Sum256([]byte(token[:len(head)+1+len(body)]))}
	if t.alg, t.kid, err = parseHeader(header); err != nil {
		return nil, err
	}
	if t.claims, err = decode(body); err != nil {
		return nil, err
	}
	if t.signature, err = decode(tail); err != nil {
		return nil, err
	}
	return t, nil
}

// decode reads unpadded base64url without the freedoms that the library allows:
// line breaks, and bits that are not used.
func decode(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, refuse("it is not in base64url")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, refuse("it is not in base64url")
	}
	return b, nil
}

// parseHeader reads the members that it knows and ignores the others, except crit,
// which names members that must be understood.
// https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11
func parseHeader(header []byte) (alg Alg, kid string, err error) {
	members, err := strictjson.Object(string(header), 4)
	if err != nil {
		return "", "", refuse("its header is not a JSON object")
	}
	text := func(name string) string {
		s, _ := members[name].(string)
		return s
	}
	if _, ok := members["crit"]; ok {
		return "", "", refuse("its header has critical extensions")
	}
	if _, ok := members["typ"]; ok && text("typ") != "JWT" {
		return "", "", refuse("its type is not JWT")
	}
	alg, kid = Alg(text("alg")), text("kid")
	if alg != ES256 && alg != RS256 {
		return "", "", refuse("its algorithm is none of ours")
	}
	if kid == "" {
		return "", "", refuse("it names no key")
	}
	return alg, kid, nil
}

func refuse(why string) error {
	return apierr.New(apierr.Unauthenticated, "the token was not accepted: %s", why)
}
