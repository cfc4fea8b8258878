package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
	"strings"
)

// accepted says whether an algorithm is on our list.
// https://www.rfc-editor.org/rfc/rfc7518#section-3.1
func accepted(alg string) bool {
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA":
		return true
	}
	return false
}

// fits says whether the algorithm, an accepted one, is for this type of key, on
// this curve, and is the one that the issuer made the key for.
func (k *key) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
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
		hash, sum := digest(a.Alg, a.signed)
		if strings.HasPrefix(a.Alg, "PS") {
			opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(public, hash, sum, a.signature, opts) == nil
		}
		return rsa.VerifyPKCS1v15(public, hash, sum, a.signature) == nil
	case *ecdsa.PublicKey:
		size := (public.Curve.Params().BitSize + 7) / 8
		if len(a.signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(a.signature[:size]), new(big.Int).SetBytes(a.signature[size:])
		_, sum := digest(a.Alg, a.signed)
		return ecdsa.Verify(public, sum, r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(public, []byte(a.signed), a.signature)
	}
	return false
}

// digest hashes as the number in the algorithm's name says.
func digest(alg, signed string) (crypto.Hash, []byte) {
	switch {
	case strings.HasSuffix(alg, "384"):
		sum := sha512.Sum384([]byte(signed))
		return crypto.SHA384, sum[:]
	case strings.HasSuffix(alg, "512"):
		sum := sha512.Sum512([]byte(signed))
		return crypto.SHA512, sum[:]
	}
	sum := sha256.Sum256([]byte(signed))
	return crypto.SHA256, sum[:]
}
