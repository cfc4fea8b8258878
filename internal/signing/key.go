package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

const (
	rsaBits = 2048
	// es256Half is the length of r and of s. https://www.rfc-editor.org/rfc/rfc7518#section-3.4
	es256Half = 32
)

// key is one key, ready for use; immutable.
type key struct {
	id      string
	alg     Alg
	public  crypto.PublicKey // *ecdsa.PublicKey or *rsa.PublicKey, as alg says
	private crypto.Signer    // nil when retired, or with fault
	fault   error            // why private could not be unsealed
	header  string           // of tokens that it signs, in base64url and with the dot
	until   time.Time        // accepted before then; zero = no end yet
}

// generate makes a new key pair. Its times are left to the schedule.
func (k *Keys) generate(alg Alg) (model.SigningKey, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		err = fmt.Errorf("unknown algorithm %q", alg)
	}
	if err != nil {
		return model.SigningKey{}, fmt.Errorf("generating a key: %w", err)
	}
	jwk, err := newJWK(private.Public())
	if err != nil {
		return model.SigningKey{}, fmt.Errorf("generating a key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return model.SigningKey{}, fmt.Errorf("encoding a public key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return model.SigningKey{}, fmt.Errorf("encoding a private key: %w", err)
	}
	defer clear(der)
	s := model.SigningKey{ID: jwk.thumbprint(), Algorithm: string(alg), Public: public}
	if s.Sealed, err = k.c.Sealer.Seal(der, s.SealName()); err != nil {
		return model.SigningKey{}, fmt.Errorf("sealing a private key: %w", err)
	}
	return s, nil
}

// open reads a stored key, except its private part.
func open(s model.SigningKey, until time.Time) (*key, jwk, error) {
	public, err := x509.ParsePKIXPublicKey(s.Public)
	if err != nil {
		return nil, jwk{}, fmt.Errorf("signing key %s: reading its public part: %w", s.ID, err)
	}
	j, err := newJWK(public)
	if err != nil {
		return nil, jwk{}, fmt.Errorf("signing key %s: %w", s.ID, err)
	}
	if j.Algorithm != Alg(s.Algorithm) || j.thumbprint() != s.ID {
		return nil, jwk{}, fmt.Errorf("signing key %s: its public part is not that of this %s key", s.ID, s.Algorithm)
	}
	j.Use, j.ID = "sig", s.ID
	header := fmt.Sprintf(`{"typ":"JWT","alg":%q,"kid":%q,"x5t":%q}`, j.Algorithm, s.ID, s.ID)
	return &key{
		id: s.ID, alg: j.Algorithm, public: public, until: until,
		header: base64.RawURLEncoding.EncodeToString([]byte(header)) + ".",
	}, j, nil
}

// unseal opens a key's private part.
func (k *Keys) unseal(s model.SigningKey, public crypto.PublicKey) (crypto.Signer, error) {
	der, err := k.c.Sealer.Open(s.Sealed, s.SealName())
	if err != nil {
		return nil, fmt.Errorf("signing key %s: its private part cannot be unsealed: %w", s.ID, err)
	}
	defer clear(der)
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: its private part is damaged", s.ID)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("signing key %s: its private part is of another kind", s.ID)
	}
	if p, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !p.Equal(signer.Public()) {
		return nil, fmt.Errorf("signing key %s: its private and public parts do not match", s.ID)
	}
	return signer, nil
}

// signatureLength is that of every signature of the key.
func (k *key) signatureLength() int {
	if public, ok := k.public.(*rsa.PublicKey); ok {
		return public.Size()
	}
	return 2 * es256Half
}

func (k *key) sign(digest []byte) ([]byte, error) {
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest)
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 2*es256Half)
		r.FillBytes(signature[:es256Half])
		s.FillBytes(signature[es256Half:])
		return signature, nil
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest)
	}
	return nil, errors.New("the key has no private part")
}

func (k *key) verify(digest, signature []byte) bool {
	if len(signature) != k.signatureLength() {
		return false
	}
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		r := new(big.Int).SetBytes(signature[:es256Half])
		s := new(big.Int).SetBytes(signature[es256Half:])
		return ecdsa.Verify(public, digest, r, s)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest, signature) == nil
	}
	return false
}

// accepted says whether tokens of the key are still good at a time.
func (k *key) accepted(now time.Time) bool { return k.until.IsZero() || now.Before(k.until) }
