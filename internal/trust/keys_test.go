package trust_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwkOf is the issuer's first published key, with changes; nil takes away.
func jwkOf(t *testing.T, issuer *trusttest.Issuer, changes map[string]any) map[string]any {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(issuer.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	jwk := set.Keys[0]
	maps.Copy(jwk, changes)
	maps.DeleteFunc(jwk, func(_ string, v any) bool { return v == nil })
	return jwk
}

func jwksOf(t *testing.T, keys ...map[string]any) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestKeysThatDoNotVerify(t *testing.T) {
	issuer := trusttest.New(t)
	token := issuer.Sign(claims(nil), trusttest.Options{})
	modulus := issuer.PublicKey("").(*rsa.PublicKey).N
	tests := []struct {
		name   string
		change map[string]any
		want   trust.Reason
		says   string // in the refusal
	}{
		{"unchanged", nil, "", ""},
		{"without-alg-and-use", map[string]any{"alg": nil, "use": nil}, "", ""},
		{"padded-modulus", map[string]any{"n": b64(modulus.Bytes()) + "=="}, "", ""},
		{"modulus-with-leading-zero", map[string]any{"n": b64(append([]byte{0}, modulus.Bytes()...))}, "", ""},
		{"ops-verify", map[string]any{"key_ops": []string{"verify"}}, "", ""},
		{"unknown-members", map[string]any{"x5t": "x", "x5c": []string{"x"}, "ext": true}, "", ""},
		{"alg-of-another", map[string]any{"alg": "PS256"}, trust.Algorithm, ""},
		{"alg-of-the-same-type", map[string]any{"alg": "RS384"}, trust.Algorithm, "RS256"},
		{"alg-not-accepted", map[string]any{"alg": "RS1"}, trust.UnusedKey, `its algorithm "RS1" is not accepted`},
		{"alg-for-encryption", map[string]any{"alg": "RSA-OAEP"}, trust.UnusedKey, "its algorithm \"RSA-OAEP\" is not accepted"},
		{"alg-of-another-type", map[string]any{"alg": "ES256"}, trust.UnusedKey, "ES256 is not for a key of type RSA"},
		{"use-encryption", map[string]any{"use": "enc"}, trust.UnusedKey, "its use is \"enc\", not sig"},
		{"ops-encrypt", map[string]any{"key_ops": []string{"encrypt"}}, trust.UnusedKey, "verify is not among"},
		{"ops-none", map[string]any{"key_ops": []string{}}, trust.UnusedKey, "verify is not among"},
		{"type-unknown", map[string]any{"kty": "AKP"}, trust.UnusedKey, "its type \"AKP\" is not accepted"},
		{"type-symmetric", map[string]any{"kty": "oct", "k": "AAAA"}, trust.UnusedKey, "symmetric"},
		{"private", map[string]any{"d": "AAAA"}, trust.UnusedKey, "private"},
		{"private-prime", map[string]any{"p": "AAAA"}, trust.UnusedKey, "private"},
		{"private-exponent", map[string]any{"dq": "AAAA"}, trust.UnusedKey, "private"},
		{"with-a-secret", map[string]any{"k": "AAAA"}, trust.UnusedKey, "private"},
		{"id-number", map[string]any{"kid": 7}, trust.UnknownKey, ""},
		{"exponent-one", map[string]any{"e": "AQ"}, trust.UnusedKey, "odd number"},
		{"exponent-even", map[string]any{"e": "AQAA"}, trust.UnusedKey, "odd number"},
		{"exponent-huge", map[string]any{"e": b64(modulus.Bytes())}, trust.UnusedKey, "too large"},
		{"exponent-zero", map[string]any{"e": "AA"}, trust.UnusedKey, "odd number"},
		{"exponent-missing", map[string]any{"e": nil}, trust.UnusedKey, "e is not base64url"},
		{"modulus-short", map[string]any{"n": b64(modulus.Bytes()[:128])}, trust.UnusedKey, "1024 bits, 2048 to 8192"},
		{"modulus-2047-bits", map[string]any{"n": b64(new(big.Int).Rsh(modulus, 1).Bytes())}, trust.UnusedKey, "2047 bits"},
		{"modulus-long", map[string]any{"n": b64(append(modulus.Bytes(), make([]byte, 2048)...))}, trust.UnusedKey, "bits"},
		{"modulus-even", map[string]any{"n": b64(new(big.Int).Lsh(modulus, 1).Bytes())}, trust.UnusedKey, "RSA key"},
		{"modulus-not-base64", map[string]any{"n": "+/+/"}, trust.UnusedKey, "n is not"},
		{"modulus-missing", map[string]any{"n": nil}, trust.UnusedKey, "n is not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			document := jwksOf(t, jwkOf(t, issuer, tt.change))
			issuer.HandleKeys(answer(document))
			b := newBench(t, issuer, trust.Config{})
			before := issuer.Fetches()
			b.want(token, tt.want)
			wantFetches(t, issuer, before, 1)
			err := b.verifyFrom(token, trust.Source{Issuer: issuer.URL, Keys: []byte(document)})
			wantReason(t, err, tt.want)
			if tt.says != "" && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v does not say %q", err, tt.says)
			}
			wantFetches(t, issuer, before, 1)
		})
	}

}

func TestCurvePointsAreChecked(t *testing.T) {
	public := func(c elliptic.Curve) []byte {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		b, err := k.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return b[1:]
	}
	p := public(elliptic.P256())
	x, y := p[:32], p[32:]
	for name, jwk := range map[string]map[string]any{
		"off-the-curve":   {"crv": "P-256", "x": b64(x), "y": b64(x)},
		"infinity":        {"crv": "P-256", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))},
		"other-curve":     {"crv": "P-384", "x": b64(x), "y": b64(y)},
		"short":           {"crv": "P-256", "x": b64(x[1:]), "y": b64(y)},
		"without-y":       {"crv": "P-256", "x": b64(x)},
		"shifted":         {"crv": "P-256", "x": b64(p[:31]), "y": b64(p[31:])},
		"unknown-curve":   {"crv": "secp256k1", "x": b64(x), "y": b64(y)},
		"edwards-short":   {"kty": "OKP", "crv": "Ed25519", "x": b64(x[1:])},
		"edwards-missing": {"kty": "OKP", "crv": "Ed25519"},
		"x25519":          {"kty": "OKP", "crv": "X25519", "x": b64(x)},
	} {
		t.Run(name, func(t *testing.T) {
			if jwk["kty"] == nil {
				jwk["kty"] = "EC"
			}
			if n, err := trust.ParseKeys([]byte(jwksOf(t, jwk)), 10); err == nil {
				t.Errorf("ParseKeys accepted %d keys", n)
			}
		})
	}
	good := map[string]any{"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)}
	if n, err := trust.ParseKeys([]byte(jwksOf(t, good)), 10); n != 1 || err != nil {
		t.Errorf("ParseKeys = %d, %v, want 1", n, err)
	}
}

func TestParseKeys(t *testing.T) {
	issuer := trusttest.New(t)
	good, encryption := jwkOf(t, issuer, nil), jwkOf(t, issuer, map[string]any{"use": "enc"})
	tests := []struct {
		name  string
		jwks  string
		count int
		says  string
	}{
		{"one", string(issuer.JWKS()), 1, ""},
		{"with-one-for-encryption", jwksOf(t, good, encryption), 1, ""},
		{"twice-the-same-id", jwksOf(t, good, good), 2, ""},
		{"only-for-encryption", jwksOf(t, encryption), 0, `no usable key: key 1: its use is "enc"`},
		{"none", `{"keys":[]}`, 0, "no usable key"},
		{"too-many", jwksOf(t, good, good, good, good), 0, "limit is 3"},
		{"private", jwksOf(t, good, jwkOf(t, issuer, map[string]any{"d": "AAAA"})), 0, "private"},
		{"symmetric", jwksOf(t, good, map[string]any{"kty": "oct", "k": "AAAA"}), 0, "symmetric"},
		{"weak", jwksOf(t, good, jwkOf(t, issuer, map[string]any{"n": b64([]byte(strings.Repeat("\xff", 128)))})), 0, "1024 bits"},
		{"not-json", `keys`, 0, "not a JSON object"},
		{"bare-key", jwksOf(t, good)[len(`{"keys":[`):], 0, "not valid JSON"},
		{"keys-twice-in-other-case", `{"keys":[],"Keys":[]}`, 0, "twice"},
		{"keys-twice", `{"keys":[],"keys":[]}`, 0, "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			count, err := trust.ParseKeys([]byte(tt.jwks), 3)
			if count != tt.count || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("ParseKeys = %d, %v, want %d, %q", count, err, tt.count, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), "AAAA") {
				t.Errorf("error %q holds key material", err)
			}
		})
	}
}

func TestDuplicateKeyIDs(t *testing.T) {
	issuer := trusttest.New(t)
	issuer.Remove(issuer.KeyID())
	issuer.AddKey("twin", "ES256")
	a := issuer.Sign(claims(nil), trusttest.Options{KeyID: "twin"})
	other := trusttest.New(t)
	other.Remove(other.KeyID())
	other.AddKey("twin", "ES256")
	b := newBench(t, issuer, trust.Config{})
	twin := func(i *trusttest.Issuer) map[string]any { return jwkOf(t, i, nil) }

	issuer.HandleKeys(answer(jwksOf(t, twin(other), twin(issuer))))
	b.want(a, "")
	foreign := other.Sign(claims(map[string]any{"iss": issuer.URL}), trusttest.Options{})
	b.want(foreign, "")

	many := make([]map[string]any, 4)
	for n := range many {
		many[n] = twin(other)
	}
	issuer.HandleKeys(answer(jwksOf(t, append(many, twin(issuer))...)))
	b = newBench(t, issuer, trust.Config{})
	b.want(a, trust.Signature) // the fifth twin is not tried
}

func TestTokenWithoutKeyID(t *testing.T) {
	issuer := trusttest.New(t)
	issuer.AddKey("", "ES256")
	bare := issuer.Sign(claims(nil), trusttest.Options{Header: map[string]any{"kid": nil}})
	empty := issuer.Sign(claims(nil), trusttest.Options{Header: map[string]any{"kid": ""}})
	b := newBench(t, issuer, trust.Config{})
	b.want(bare, "")
	b.want(empty, "")
	b.want(withHeader(t, bare, map[string]any{"alg": "ES384"}), trust.UnknownKey)
	wantFetches(t, issuer, trusttest.Counts{}, 1)

	issuer.AddKey("", "RS256")
	b = newBench(t, issuer, trust.Config{})
	b.want(bare, trust.UnknownKey) // two keys fit
}

func TestPinnedKeysNeedNoNetwork(t *testing.T) {
	issuer := trusttest.New(t)
	token := issuer.Sign(claims(nil), trusttest.Options{})
	b := newBench(t, issuer, trust.Config{Transport: roundTripper(nil)}) // panics when used
	pinned := trust.Source{Issuer: issuer.URL, Keys: issuer.JWKS()}
	for range 2 {
		wantReason(t, b.verifyFrom(token, pinned), "")
	}
	kid := issuer.AddKey("", "RS256")
	newer := issuer.Sign(claims(nil), trusttest.Options{KeyID: kid})
	wantReason(t, b.verifyFrom(newer, pinned), trust.UnknownKey)
	pinned.Keys = issuer.JWKS()
	wantReason(t, b.verifyFrom(newer, pinned), "")
	pinned.Keys = []byte(`{"keys":`)
	wantReason(t, b.verifyFrom(newer, pinned), trust.Unreachable)
	pinned.Keys = []byte(fmt.Sprintf(`{"keys":[%s]}`, strings.TrimSuffix(strings.Repeat(`{},`, 101), ",")))
	wantReason(t, b.verifyFrom(newer, pinned), trust.Unreachable)
	if got := issuer.Fetches(); got != (trusttest.Counts{}) {
		t.Errorf("fetched %+v, want nothing", got)
	}
}
