package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// Document is the published JWKS, rendered once per change.
type Document struct {
	Body []byte
	ETag string // quoted
}

// jwk is a public key as published. There is no x5t: it is the SHA-1 of a
// certificate, which our keys have not, and libraries refuse a document whose
// x5t is anything else. https://www.rfc-editor.org/rfc/rfc7517#section-4.8
type jwk struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	ID        string `json:"kid"`
	Algorithm Alg    `json:"alg"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
}

// newJWK encodes a key of a kind that we sign with; the algorithm follows from the kind.
func newJWK(public crypto.PublicKey) (jwk, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return jwk{}, errors.New("want a P-256 key")
		}
		point, err := p.Bytes()
		if err != nil {
			return jwk{}, err
		}
		x, y := point[1:1+es256Half], point[1+es256Half:]
		return jwk{Type: "EC", Algorithm: ES256, Curve: "P-256", X: b64(x), Y: b64(y)}, nil
	case *rsa.PublicKey:
		if p.N.BitLen() < rsaBits {
			return jwk{}, fmt.Errorf("want an RSA key of at least %d bits", rsaBits)
		}
		return jwk{Type: "RSA", Algorithm: RS256, N: b64(p.N.Bytes()), E: b64(big.NewInt(int64(p.E)).Bytes())}, nil
	}
	return jwk{}, errors.New("want an RSA or P-256 key")
}

// thumbprint is the key id. https://www.rfc-editor.org/rfc/rfc7638#section-3
func (j jwk) thumbprint() string {
	canonical := fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, j.E, j.N)
	if j.Type == "EC" {
		canonical = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, j.Curve, j.X, j.Y)
	}
	sum := sha256.Sum256([]byte(canonical))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func newDocument(keys []jwk) (*Document, error) {
	body, err := json.Marshal(map[string][]jwk{"keys": keys})
	if err != nil {
		return nil, fmt.Errorf("rendering the JWKS: %w", err)
	}
	sum := sha256.Sum256(body)
	return &Document{Body: body, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}, nil
}
