package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
)

// accepted says whether an algorithm is on our list.
// https://www.rfc-editor.org/rfc/rfc7518#section-3.1
func accepted(alg string) bool {
	switch alg {
	case "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA":
		return true
	}
	return false
}

// fits says whether the algorithm is for this type of key, on this curve, and
// is the one that the issuer made the key for.
func (k *key) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return alg == "RS256" || alg == "PS256"
	case *ecdsa.PublicKey:
		switch public.Curve.Params().Name {
		case "P-256":
			return alg == "ES256"
		case "P-384":
			return alg == "ES384"
		case "P-521":
			return alg == "ES512"
		}
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// checkSignature accepts the assertion if one of the keys signed it. Every key
// fits the algorithm.
func (a *Assertion) checkSignature(keys []key) error {
	for _, k := range keys {
		if k.signed(a) {
			return nil
		}
	}
	return refuse(Signature, nil, "The assertion's signature does not fit its content and key %s of issuer %s.", quote(a.KeyID), quote(a.Issuer))
}

func (k *key) signed(a *Assertion) bool {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		sum := sha256.Sum256([]byte(a.signed))
		if a.Alg == "PS256" {
			opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(public, crypto.SHA256, sum[:], a.signature, opts) == nil
		}
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], a.signature) == nil
	case *ecdsa.PublicKey:
		size := (public.Curve.Params().BitSize + 7) / 8
		if len(a.signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(a.signature[:size]), new(big.Int).SetBytes(a.signature[size:])
		return ecdsa.Verify(public, digest(a.Alg, []byte(a.signed)), r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(public, []byte(a.signed), a.signature)
	}
	return false
}

func digest(alg string, b []byte) []byte {
	switch alg {
	case "ES384":
		sum := sha512.Sum384(b)
		return sum[:]
	case "ES512":
		sum := sha512.Sum512(b)
		return sum[:]
	}
	sum := sha256.Sum256(b)
	return sum[:]
}
