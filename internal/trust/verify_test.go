package trust_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

func TestVerifyKubernetesToken(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	token := issuer.KubernetesToken("demo", "app", audience, time.Hour)

	a, err := trust.Parse(token + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(t.Context(), a, b.source(), audience); err != nil {
		t.Fatal(err)
	}
	if a.Issuer != issuer.URL || a.Subject != "system:serviceaccount:demo:app" || a.KeyID != issuer.KeyID() || a.Alg != "RS256" {
		t.Errorf("parsed %+v", a)
	}
	if diff := cmp.Diff([]string{audience}, a.Audiences); diff != "" {
		t.Errorf("audiences (-want +got):\n%s", diff)
	}
	if got := a.Expires.Sub(a.NotBefore); got != time.Hour {
		t.Errorf("lifetime = %v, want 1h", got)
	}
	account := a.Claims["kubernetes.io"].(map[string]any)["serviceaccount"].(map[string]any)
	if account["name"] != "app" {
		t.Errorf("service account = %v, want app", account["name"])
	}
	wantFetches(t, issuer, trusttest.Counts{}, 1)
}

func TestVerifyEachAlgorithm(t *testing.T) {
	issuer := trusttest.New(t)
	algs := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	for _, alg := range algs {
		issuer.AddKey("key-"+alg, alg)
	}
	b := newBench(t, issuer, trust.Config{})
	for _, alg := range algs {
		t.Run(alg, func(t *testing.T) {
			token := issuer.Sign(claims(nil), trusttest.Options{KeyID: "key-" + alg})
			wantReason(t, b.verify(token), "")
			broken := compactParts(t, token, func(_, _, sig []byte) { sig[len(sig)/2] ^= 1 })
			wantReason(t, b.verify(broken), trust.Signature)
			short := token[:strings.LastIndexByte(token, '.')+1]
			wantReason(t, b.verify(short), trust.Signature)
			for _, other := range algs {
				if other != alg {
					confused := withHeader(t, token, map[string]any{"alg": other, "kid": "key-" + alg})
					wantReason(t, b.verify(confused), trust.Algorithm)
				}
			}
		})
	}
	wantFetches(t, issuer, trusttest.Counts{}, 1)
}

// compactParts changes a token's decoded parts.
func compactParts(t *testing.T, token string, change func(header, payload, signature []byte)) string {
	t.Helper()
	var parts [3][]byte
	for n, part := range strings.Split(token, ".") {
		var err error
		if parts[n], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			t.Fatal(err)
		}
	}
	change(parts[0], parts[1], parts[2])
	return compact(string(parts[0]), string(parts[1]), parts[2])
}

func TestVerifyAlgorithms(t *testing.T) {
	issuer := trusttest.New(t)
	good := issuer.Sign(claims(nil), trusttest.Options{})
	kid := issuer.KeyID()
	for _, alg := range []any{"none", "None", "", "HS256", "HS384", "HS512", "RS1", "RS224", "RS", "PS", "PS1024", "ES", "ES256K", "ES512 ", "rs256", "dir", nil, 7, []string{"RS256"}} {
		t.Run(fmt.Sprint("alg-", alg), func(t *testing.T) {
			b := newBench(t, issuer, trust.Config{})
			before := issuer.Fetches()
			b.want(withHeader(t, good, map[string]any{"alg": alg, "kid": kid}), trust.Algorithm)
			wantFetches(t, issuer, before, 0)
		})
	}
	t.Run("none-without-signature", func(t *testing.T) {
		b := newBench(t, issuer, trust.Config{})
		head, payload, _ := strings.Cut(withHeader(t, good, map[string]any{"alg": "none"}), ".")
		payload, _, _ = strings.Cut(payload, ".")
		b.want(head+"."+payload+".", trust.Algorithm)
	})
	t.Run("hmac-with-the-public-key", func(t *testing.T) {
		der, err := x509.MarshalPKIXPublicKey(issuer.PublicKey(""))
		if err != nil {
			t.Fatal(err)
		}
		_, payload, _ := strings.Cut(good, ".")
		payload, _, _ = strings.Cut(payload, ".")
		for _, alg := range []string{"HS256", "RS256"} {
			input := withHeader(t, "."+payload, map[string]any{"alg": alg, "kid": kid})
			mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			mac.Write([]byte(input))
			token := input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
			b := newBench(t, issuer, trust.Config{})
			b.want(token, map[string]trust.Reason{"HS256": trust.Algorithm, "RS256": trust.Signature}[alg])
		}
	})
}

func TestVerifyRefusedHeaders(t *testing.T) {
	issuer := trusttest.New(t)
	for _, name := range []string{"crit", "b64"} {
		for _, value := range []any{issuer.URL + trusttest.KeysPath, []string{"exp"}, json.RawMessage("null")} {
			t.Run(name, func(t *testing.T) {
				b := newBench(t, issuer, trust.Config{})
				before := issuer.Fetches()
				b.want(issuer.Sign(claims(nil), trusttest.Options{Header: map[string]any{name: value}}), trust.Header)
				if got := issuer.Fetches(); got != before {
					t.Errorf("fetched %+v, then %+v", before, got)
				}
			})
		}
	}
}

// A key that a token brings along is neither fetched nor used, whatever it is.
func TestVerifyIgnoresKeysInTheHeader(t *testing.T) {
	issuer, stranger := trusttest.New(t), trusttest.New(t)
	chain := make([]string, 4) // as long as chains of large certificates are
	for n := range chain {
		chain[n] = strings.Repeat("A", 4<<10)
	}
	for name, values := range map[string][]any{
		"jku": {stranger.URL + trusttest.KeysPath, "file:///etc/passwd", 7, json.RawMessage("null")},
		"x5u": {stranger.URL, "ldap://x", []string{}},
		"jwk": {jwkOf(t, stranger, nil), map[string]any{}, "x"},
		"x5c": {chain, []string{"AAAA"}, []int{1}, "x", json.RawMessage("null")},
		"x5t": {7, []string{}, "!"}, "x5t#S256": {7, map[string]any{}},
		"typ": {7}, "cty": {[]int{}}, "url": {stranger.URL}, "nonce": {1.5}, "zip": {"DEF"},
	} {
		for _, value := range values {
			t.Run(name, func(t *testing.T) {
				b := newBench(t, issuer, trust.Config{})
				header := map[string]any{name: value}
				b.want(issuer.Sign(claims(nil), trusttest.Options{Header: header}), "")
				header["kid"] = issuer.KeyID()
				forged := map[string]any{"iss": issuer.URL}
				b.want(stranger.Sign(claims(forged), trusttest.Options{Header: header}), trust.Signature)
				header["kid"] = stranger.KeyID()
				b.want(stranger.Sign(claims(forged), trusttest.Options{Header: header}), trust.UnknownKey)
			})
		}
	}
	if got := stranger.Fetches(); got != (trusttest.Counts{}) {
		t.Errorf("a key named in a header was fetched: %+v", got)
	}
}

func TestVerifyClaims(t *testing.T) {
	issuer := trusttest.New(t)
	now := time.Now().Unix()
	in := func(d time.Duration) int64 { return now + int64(d/time.Second) }
	tests := []struct {
		name   string
		claims map[string]any
		want   trust.Reason
	}{
		{"good", nil, ""},
		{"exp-missing", map[string]any{"exp": nil}, trust.NoExpiry},
		{"exp-null", map[string]any{"exp": json.RawMessage("null")}, trust.NoExpiry},
		{"exp-past", map[string]any{"exp": now - 1}, trust.Expired},
		{"exp-zero", map[string]any{"exp": 0}, trust.Expired},
		{"exp-float", map[string]any{"exp": float64(in(time.Minute)) + .25}, ""},
		{"exp-float-past", map[string]any{"exp": float64(now) - 1.5}, trust.Expired},
		{"exp-exponent", map[string]any{"exp": json.RawMessage(fmt.Sprintf("%.4fe3", float64(in(time.Hour))/1e3))}, ""},
		{"exp-string", map[string]any{"exp": fmt.Sprint(in(time.Hour))}, trust.NoExpiry},
		{"exp-negative", map[string]any{"exp": -1}, trust.NoExpiry},
		{"exp-two-years", map[string]any{"exp": in(2 * 366 * 24 * time.Hour)}, trust.NoExpiry},
		{"exp-after-9999", map[string]any{"exp": int64(253402300800)}, trust.NoExpiry},
		{"exp-max-int64", map[string]any{"exp": int64(math.MaxInt64)}, trust.NoExpiry},
		{"exp-beyond-float", map[string]any{"exp": json.RawMessage("1e999")}, trust.NoExpiry},
		{"exp-object", map[string]any{"exp": map[string]any{}}, trust.NoExpiry},
		{"nbf-future", map[string]any{"nbf": in(10 * time.Minute)}, trust.NotYet},
		{"nbf-within-skew", map[string]any{"nbf": in(4 * time.Minute)}, ""},
		{"nbf-missing", map[string]any{"nbf": nil}, ""},
		{"nbf-string", map[string]any{"nbf": "0"}, trust.Malformed},
		{"iat-future", map[string]any{"iat": in(10 * time.Minute)}, trust.NotYet},
		{"iat-negative", map[string]any{"iat": -5}, trust.Malformed},
		{"aud-array", map[string]any{"aud": []string{"other", audience}}, ""},
		{"aud-array-without", map[string]any{"aud": []string{"other"}}, trust.Audience},
		{"aud-empty-array", map[string]any{"aud": []string{}}, trust.Audience},
		{"aud-missing", map[string]any{"aud": nil}, trust.Audience},
		{"aud-other-case", map[string]any{"aud": strings.ToLower(audience)}, trust.Audience},
		{"aud-prefix", map[string]any{"aud": audience + "/"}, trust.Audience},
		{"aud-number", map[string]any{"aud": 7}, trust.Malformed},
		{"aud-array-of-numbers", map[string]any{"aud": []any{audience, 7}}, trust.Malformed},
		{"iss-trailing-slash", map[string]any{"iss": issuer.URL + "/"}, trust.Issuer},
		{"iss-other-case", map[string]any{"iss": strings.ToUpper(issuer.URL)}, trust.Issuer},
		{"iss-missing", map[string]any{"iss": nil}, trust.Issuer},
		{"iss-array", map[string]any{"iss": []string{issuer.URL}}, trust.Malformed},
		{"sub-number", map[string]any{"sub": 1}, trust.Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, issuer, trust.Config{})
			before := issuer.Fetches()
			b.want(issuer.Sign(claims(tt.claims), trusttest.Options{}), tt.want)
			fetches := 0
			if tt.want == "" {
				fetches = 1
			}
			wantFetches(t, issuer, before, fetches)
		})
	}
}

func TestVerifyRefusesEmptyExpectations(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	a, err := trust.Parse(issuer.Sign(map[string]any{"iss": "", "aud": ""}, trusttest.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, b.Verify(t.Context(), a, trust.Source{Keys: issuer.JWKS()}, ""), trust.Issuer)
	wantReason(t, b.VerifyKey(a, issuer.PublicKey(""), "", nil), trust.Issuer)
	a.Issuer = issuer.URL
	wantReason(t, b.Verify(t.Context(), a, b.source(), ""), trust.Audience)
}

func TestVerifyExplainsTimes(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	token := issuer.Sign(claims(nil), trusttest.Options{})
	b.want(token, "")
	b.pass(time.Hour)
	err := b.verify(token)
	for _, part := range []string{"Current time: ", "assertion valid from ", "expiry time of assertion "} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not contain %q", err, part)
		}
	}
}

func TestVerifyKey(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	weak := issuer.PublicKey("")
	const client = "5c1f2f0e-0000-4000-8000-1f2e3d4c5b6a"
	endpoint := "https://login.example/tenant/oauth2/v2.0/token"
	sign := func(changes map[string]any) *trust.Assertion {
		t.Helper()
		all := map[string]any{"iss": client, "sub": client, "aud": endpoint, "exp": float64(time.Now().Unix()) + 600.5, "iat": float64(time.Now().Unix()) - .5}
		for k, v := range changes {
			all[k] = v
		}
		header := map[string]any{"kid": nil, "typ": "JWT", "x5t": "aGVsbG8gd29ybGQgaGVsbG8gdw=="}
		a, err := trust.Parse(issuer.Sign(all, trusttest.Options{Header: header}))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := sign(nil)
	if a.X5T != "aGVsbG8gd29ybGQgaGVsbG8gdw==" {
		t.Errorf("x5t = %q, want it as presented", a.X5T)
	}
	auds := []string{"https://login.example/tenant/v2.0", endpoint}
	wantReason(t, b.VerifyKey(a, weak, client, auds), "")
	wantReason(t, b.VerifyKey(a, weak, client, auds[:1]), trust.Audience)
	wantReason(t, b.VerifyKey(a, weak, "another", auds), trust.Issuer)
	wantReason(t, b.VerifyKey(sign(map[string]any{"exp": 1}), weak, client, auds), trust.Expired)
	wantReason(t, b.VerifyKey(a, []byte("secret"), client, auds), trust.UnknownKey)

	other := trusttest.New(t)
	wantReason(t, b.VerifyKey(a, other.PublicKey(""), client, auds), trust.Signature)
	wantReason(t, b.VerifyKey(a, other.PublicKey(other.AddKey("", "ES256")), client, auds), trust.Algorithm)
	if got := issuer.Fetches(); got != (trusttest.Counts{}) {
		t.Errorf("fetched %+v, want nothing", got)
	}
}
