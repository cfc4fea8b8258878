package imds_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/lanyard-io/lanyard/internal/imds"
)

// Another library accepts the assertion with the published key.
func TestIssuerSignsWhatOthersVerify(t *testing.T) {
	i, err := imds.NewIssuer("https://issuer.invalid/x", "me")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := i.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) != 1 || !set.Keys[0].IsPublic() {
		t.Fatalf("%s: %v", raw, err)
	}
	for range 50 { // a coordinate or a part of a signature may begin with zeros
		token, err := i.Assertion("api://aud", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		var claims josejwt.Claims
		if err := parsed.Claims(set, &claims); err != nil {
			t.Fatal(err)
		}
		want := josejwt.Expected{Issuer: "https://issuer.invalid/x", Subject: "me", AnyAudience: josejwt.Audience{"api://aud"}, Time: time.Now()}
		if err := claims.Validate(want); err != nil {
			t.Fatal(err)
		}
	}
}
