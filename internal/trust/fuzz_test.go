package trust_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

// FuzzParse checks that Parse gives an assertion within its limits or an *Error.
func FuzzParse(f *testing.F) {
	issuer := trusttest.New(f)
	f.Add(issuer.KubernetesToken("demo", "app", audience, time.Hour))
	f.Add(compact(`{"alg":"none"}`, `{}`, nil))
	f.Add(compact(`{"alg":"RS256","kid":"\u00e9"}`, `{"exp":1.5e9,"aud":["a"],"x":[[{}]]}`, []byte("x")) + "\n")
	for _, object := range []string{
		` {"a" : [1, -0.5e+7, true, false, null, "\u00e9\n\"", {"b":{}}] } `, `{"sub":"a","SUB":"b"}`, `{"sub":"a","ſub":"b"}`, `{"k":[{"\u212a":1,"K":2}]}`, `{"exp":01}`, `{"sub":"\ud83d\ude00"}`,
		`{"sub":"\ud83d"}`, "{\"\xff\":1}", `{"a":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}`, "{}\x00", `{"a":"\`,
	} {
		f.Add(compact(`{"alg":"RS256"}`, object, nil))
		f.Add(compact(object, `{}`, nil))
	}
	f.Fuzz(func(t *testing.T, token string) {
		a, err := trust.Parse(token)
		if err != nil {
			if _, ok := errors.AsType[*trust.Error](err); !ok || a != nil {
				t.Fatalf("Parse = %v, %v, want an *Error alone", a, err)
			}
			return
		}
		for name, at := range map[string]time.Time{"exp": a.Expires, "nbf": a.NotBefore, "iat": a.IssuedAt} {
			if _, there := a.Claims[name]; there == at.IsZero() || at.Year() > 9999 {
				t.Errorf("%s = %v, claim there: %t", name, at, there)
			}
		}
		switch a.Alg {
		case "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA":
		default:
			t.Errorf("algorithm %q was accepted", a.Alg)
		}
	})
}

// FuzzParseKeys checks that a key set that upload accepts is one that verifying
// accepts, with as many keys, within the limit.
func FuzzParseKeys(f *testing.F) {
	issuer := trusttest.New(f)
	for _, alg := range []string{"ES256", "ES384", "ES512", "EdDSA"} {
		issuer.AddKey("", alg)
	}
	f.Add(issuer.JWKS())
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"oct","k":"AA"}]}`))
	a, err := trust.Parse(issuer.Sign(claims(nil), trusttest.Options{}))
	if err != nil {
		f.Fatal(err)
	}
	v := trust.New(trust.Config{MaxKeys: 10})
	f.Fuzz(func(t *testing.T, jwks []byte) {
		count, err := trust.ParseKeys(jwks, 10)
		if count < 0 || count > 10 || (err == nil) == (count == 0) {
			t.Fatalf("ParseKeys = %d, %v", count, err)
		}
		refusal := v.Verify(t.Context(), a, trust.Source{Issuer: a.Issuer, Keys: append([]byte(nil), jwks...)}, audience)
		if e, ok := errors.AsType[*trust.Error](refusal); err == nil && ok && e.Reason == trust.Unreachable && len(jwks) > 0 {
			t.Fatalf("a key set that ParseKeys accepts is refused: %v", e.Err)
		}
		if refusal == nil && !bytes.Contains(jwks, []byte("keys")) && !bytes.Contains(jwks, []byte(`\u`)) {
			t.Fatalf("verified with %q", jwks)
		}
	})
}

// FuzzDiscovery checks that only a document of the issuer itself is accepted,
// and only https addresses come out of it.
func FuzzDiscovery(f *testing.F) {
	issuer := trusttest.New(f)
	f.Add(issuer.Discovery(), issuer.URL)
	f.Add([]byte(`{"issuer":"https://a.example","jwks_uri":"https://a.example:x/"}`), "https://a.example")
	f.Add([]byte(`{"issuer":"https://a.example","jwks_uri":"HTTPS://u@a.example/"}`), "https://a.example")
	f.Fuzz(func(t *testing.T, document []byte, iss string) {
		address, err := trust.ReadDiscovery(document, iss)
		if err != nil {
			return
		}
		if !strings.EqualFold(address[:min(8, len(address))], "https://") {
			t.Errorf("keys are at %q", address)
		}
		var named struct {
			Issuer string `json:"issuer"`
		}
		if err := json.Unmarshal(document, &named); err != nil {
			t.Errorf("accepted %q: %v", document, err)
		}
	})
}
