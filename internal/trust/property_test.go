package trust_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

// A token that was changed in any byte, shortened or lengthened never verifies.
func TestChangedTokenNeverVerifies(t *testing.T) {
	issuer := trusttest.New(t)
	tokens := make(map[string]string)
	algs := []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}
	for _, alg := range algs {
		issuer.AddKey("key-"+alg, alg)
		tokens[alg] = issuer.Sign(claims(nil), trusttest.Options{KeyID: "key-" + alg})
	}
	v := trust.New(trust.Config{})
	src := trust.Source{Issuer: issuer.URL, Keys: issuer.JWKS()}
	verifies := func(token string) bool {
		a, err := trust.Parse(token)
		return err == nil && v.Verify(t.Context(), a, src, audience) == nil
	}
	for alg, token := range tokens {
		if !verifies(token) {
			t.Fatalf("the unchanged %s token does not verify", alg)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\x00"
	rapid.Check(t, func(t *rapid.T) {
		token := []byte(tokens[rapid.SampledFrom(algs).Draw(t, "alg")])
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		c := rapid.OneOf(rapid.SampledFrom([]byte(alphabet)), rapid.Byte()).Draw(t, "byte")
		var changed string
		switch rapid.SampledFrom([]string{"replace", "insert", "remove", "cut"}).Draw(t, "change") {
		case "replace":
			changed = string(token[:at]) + string(c) + string(token[at+1:])
		case "insert":
			changed = string(token[:at+1]) + string(c) + string(token[at+1:])
		case "remove":
			changed = string(token[:at]) + string(token[at+1:])
		case "cut":
			changed = string(token[:at])
		}
		if trimmed(changed) != string(token) && verifies(changed) {
			t.Fatalf("verified after a change at byte %d", at)
		}
	})
}

func trimmed(token string) string {
	for len(token) > 0 && (token[len(token)-1] == ' ' || token[len(token)-1] == '\n' || token[len(token)-1] == '\r' || token[len(token)-1] == '\t') {
		token = token[:len(token)-1]
	}
	return token
}

// An assertion is accepted exactly from its start, less the skew, up to its end.
func TestTimeWindow(t *testing.T) {
	issuer := trusttest.New(t)
	src := trust.Source{Issuer: issuer.URL, Keys: issuer.JWKS()}
	start := time.Unix(1_800_000_000, 0)
	a, err := trust.Parse(issuer.Sign(claims(map[string]any{
		"iat": start.Unix(), "nbf": start.Unix(), "exp": start.Add(time.Hour).Unix(),
	}), trusttest.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		near := rapid.SampledFrom([]time.Duration{-5 * time.Minute, 0, time.Hour}).Draw(t, "near")
		now := start.Add(near + time.Duration(rapid.Int64Range(-2, 2).Draw(t, "ns")))
		v := trust.New(trust.Config{Now: func() time.Time { return now }})
		err := v.Verify(t.Context(), a, src, audience)
		want := !now.Before(start.Add(-5*time.Minute)) && now.Before(start.Add(time.Hour))
		if (err == nil) != want {
			t.Fatalf("at start%+v: %v, want accepted: %t", now.Sub(start), err, want)
		}
	})
}
