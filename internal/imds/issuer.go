package imds

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Issuer plays a workload's platform on a machine that has none: it signs
// assertions with a key that lives and dies with the process. Its keys are
// uploaded, not discovered, so its URL leads nowhere.
type Issuer struct {
	URL     string // iss
	Subject string // sub
	kid     string
	key     *ecdsa.PrivateKey
}

// NewIssuer makes a key.
func NewIssuer(url, subject string) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return &Issuer{URL: url, Subject: subject, kid: rand.Text(), key: key}, nil
}

// coordinate is the size of one of P-256's.
const coordinate = 32

// JWKS is the public key. https://www.rfc-editor.org/rfc/rfc7518#section-6.2
func (i *Issuer) JWKS() ([]byte, error) {
	point, err := i.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": i.kid,
		"x": encode(point[1 : 1+coordinate]), "y": encode(point[1+coordinate:]),
	}}})
}

// assertionLife is long enough for one exchange, and for clocks that differ.
const assertionLife = 5 * time.Minute

// Assertion is a new token for an audience.
// https://www.rfc-editor.org/rfc/rfc7515#appendix-A.3
func (i *Issuer) Assertion(audience string, now time.Time) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": "ES256", "typ": "JWT", "kid": i.kid})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": i.URL, "sub": i.Subject, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed := encode(header) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	var signature [2 * coordinate]byte
	r.FillBytes(signature[:coordinate])
	s.FillBytes(signature[coordinate:])
	return signed + "." + encode(signature[:]), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
