package trusttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.SHA384 and SHA512
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// Options say what is unusual about a token; zero values give the usual.
type Options struct {
	KeyID   string         // which key signs; "": the first
	Header  map[string]any // members added to the header; a nil value takes one away
	Payload []byte         // signed in place of the claims, as it is
}

// Sign signs claims with a published key. iss, iat, nbf and exp (in an hour)
// are added when absent; a nil value takes one away.
func (i *Issuer) Sign(claims map[string]any, o Options) string {
	i.t.Helper()
	payload := o.Payload
	if payload == nil {
		payload = i.fill(claims)
	}
	return i.sign(i.key(o.KeyID), payload, o.Header)
}

// KubernetesToken signs a projected service-account token as kube-apiserver
// does, bound to a pod and a node.
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
func (i *Issuer) KubernetesToken(namespace, serviceAccount, audience string, lifetime time.Duration) string {
	i.t.Helper()
	now := time.Now().Unix()
	object := func(name string) map[string]any {
		return map[string]any{"name": name, "uid": uuid()}
	}
	return i.Sign(map[string]any{
		"aud": []string{audience},
		"exp": now + int64(lifetime/time.Second),
		"iat": now,
		"jti": uuid(),
		"kubernetes.io": map[string]any{
			"namespace":      namespace,
			"node":           object("worker-1"),
			"pod":            object(serviceAccount + "-6b7f9c5d8-x2x9z"),
			"serviceaccount": object(serviceAccount),
		},
		"nbf": now,
		"sub": wi.Subject{Namespace: namespace, Name: serviceAccount}.String(),
	}, Options{})
}

func (i *Issuer) fill(claims map[string]any) []byte {
	i.t.Helper()
	now := time.Now().Unix()
	all := map[string]any{"iss": i.URL, "iat": now, "nbf": now, "exp": now + 3600}
	merge(all, claims)
	return encode(i.t, all)
}

func (i *Issuer) sign(k key, payload []byte, extra map[string]any) string {
	i.t.Helper()
	header := map[string]any{"alg": k.alg, "kid": k.id}
	merge(header, extra)
	input := base64.RawURLEncoding.EncodeToString(encode(i.t, header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature(i.t, k, []byte(input)))
}

func merge(all, more map[string]any) {
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
}

func signature(t testing.TB, k key, input []byte) []byte {
	t.Helper()
	hash, digest := crypto.Hash(0), input
	switch {
	case strings.HasSuffix(k.alg, "256"):
		hash = crypto.SHA256
	case strings.HasSuffix(k.alg, "384"):
		hash = crypto.SHA384
	case strings.HasSuffix(k.alg, "512"):
		hash = crypto.SHA512
	}
	if hash != 0 {
		h := hash.New()
		h.Write(input)
		digest = h.Sum(nil)
	}
	var opts crypto.SignerOpts = hash
	if strings.HasPrefix(k.alg, "PS") {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	sig, err := k.private.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Fatalf("signing with %s: %v", k.alg, err)
	}
	if pub, ok := k.private.Public().(*ecdsa.PublicKey); ok {
		return fixedWidth(t, pub, sig)
	}
	return sig
}

// fixedWidth turns an ASN.1 ECDSA signature into JWS's form.
// https://www.rfc-editor.org/rfc/rfc7518#section-3.4
func fixedWidth(t testing.TB, pub *ecdsa.PublicKey, sig []byte) []byte {
	t.Helper()
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		t.Fatalf("reading signature: %v", err)
	}
	size := (pub.Curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*size)
	rs.R.FillBytes(out[:size])
	rs.S.FillBytes(out[size:])
	return out
}

func newKey(t testing.TB, alg string) crypto.Signer {
	t.Helper()
	var private crypto.Signer
	var err error
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("issuer cannot make a key for %q", alg)
	}
	if err != nil {
		t.Fatalf("making a key for %s: %v", alg, err)
	}
	return private
}

func publicJWK(t testing.TB, k key) map[string]string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"use": "sig", "kid": k.id, "alg": k.alg}
	switch pub := k.private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			t.Fatalf("encoding key %q: %v", k.id, err)
		}
		size := len(point) / 2
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", pub.Curve.Params().Name, b64(point[1:1+size]), b64(point[1+size:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", b64(pub)
	}
	return jwk
}

// thumbprint is the key id that kube-apiserver gives a key.
func thumbprint(t testing.TB, pub crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatalf("encoding public key: %v", err)
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
