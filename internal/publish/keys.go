package publish

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/lanyard-io/lanyard/internal/trust"
)

// maxKeys is the most keys of one set. A verifier that is asked to hold more
// may refuse them all.
const maxKeys = 64

// Key is a public key as a JWK, with the members that verifiers need.
// https://www.rfc-editor.org/rfc/rfc7517#section-4
type Key struct {
	Use string `json:"use,omitempty"`
	Kty string `json:"kty"`
	ID  string `json:"kid"`
	Crv string `json:"crv,omitempty"`
	Alg string `json:"alg,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
}

// Set is a JWKS document.
type Set struct {
	Keys []Key `json:"keys"`
}

// JSON renders the set, indented and without a newline at its end.
func (s Set) JSON() ([]byte, error) {
	if s.Keys == nil {
		s.Keys = []Key{}
	}
	return json.MarshalIndent(s, "", "  ")
}

// Add puts keys into the set; one that it has already stays single.
func (s *Set) Add(keys ...Key) {
	for _, k := range keys {
		if _, ok := s.find(k.ID); !ok {
			s.Keys = append(s.Keys, k)
		}
	}
}

func (s Set) find(id string) (Key, bool) {
	for _, k := range s.Keys {
		if k.ID == id {
			return k, true
		}
	}
	return Key{}, false
}

// ParseSet reads a JWKS that an API server or an earlier run published. A set
// with a private key, a broken one or one without an id is refused.
func ParseSet(jwks []byte) (Set, error) {
	var s Set
	if _, err := trust.ParseKeys(jwks, maxKeys); err != nil {
		return s, err
	}
	if err := json.Unmarshal(jwks, &s); err != nil {
		return Set{}, fmt.Errorf("reading key set: %w", err)
	}
	unique := Set{}
	for n, k := range s.Keys {
		if k.ID == "" {
			return Set{}, fmt.Errorf("key %d of the set has no id: its tokens could not name it", n+1)
		}
		unique.Add(k)
	}
	return unique, nil
}

// ParsePEM reads the public keys of a PEM file: PKIX, PKCS #1 or certificates.
// Private keys are refused: what publishes has no use for them.
func ParsePEM(text []byte) ([]Key, error) {
	var keys []Key
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		public, err := publicKey(block)
		if err != nil {
			return nil, err
		}
		k, err := NewKey(public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no PEM public key in it")
	}
	return keys, nil
}

func publicKey(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	if strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, errors.New("a private key: give the public one (openssl pkey -in FILE -pubout)")
	}
	return nil, fmt.Errorf("a %q block holds no public key", block.Type)
}

// NewKey makes the JWK of a public key with the id that Kubernetes gives it.
func NewKey(public crypto.PublicKey) (Key, error) {
	id, err := KeyID(public)
	if err != nil {
		return Key{}, err
	}
	k := Key{Use: "sig", ID: id}
	switch p := public.(type) {
	case *rsa.PublicKey:
		if p.N.BitLen() < 2048 {
			return Key{}, fmt.Errorf("an RSA key of %d bits is too weak: 2048 are needed", p.N.BitLen())
		}
		k.Kty, k.Alg = "RSA", "RS256"
		k.N, k.E = encode(p.N.Bytes()), encode(big.NewInt(int64(p.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			return Key{}, err
		}
		k.Kty, k.Crv = "EC", p.Params().Name
		algorithms := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
		if k.Alg = algorithms[k.Crv]; k.Alg == "" {
			return Key{}, fmt.Errorf("curve %s: want P-256, P-384 or P-521", k.Crv)
		}
		x, y := point[1:1+len(point)/2], point[1+len(point)/2:] // behind the byte that says: uncompressed
		k.X, k.Y = encode(x), encode(y)
	default:
		return Key{}, fmt.Errorf("a key of type %T: Kubernetes signs with RSA or ECDSA", public)
	}
	return k, nil
}

// KeyID is the id that kube-apiserver writes into the tokens that it signs: the
// hash of the key's PKIX form.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/serviceaccount/jwt.go
func KeyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("encoding the public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return encode(sum[:]), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
