package signing

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestJWKS has the document read, and tokens verified, by another library.
func TestJWKS(t *testing.T) {
	k := newTestKeys(t)
	doc := k.JWKS()
	if k.JWKS() != doc {
		t.Error("the document is rendered again without a change")
	}
	if len(doc.ETag) < 10 || doc.ETag[0] != '"' || doc.ETag[len(doc.ETag)-1] != '"' {
		t.Errorf("ETag = %s, want it quoted", doc.ETag)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(doc.Body, &set); err != nil {
		t.Fatal(err)
	}
	for _, alg := range []Alg{ES256, RS256} {
		token, err := jose.ParseSignedCompact(mustSign(t, k, alg), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatal(err)
		}
		header := token.Signatures[0].Header
		found := set.Key(header.KeyID)
		if len(found) != 1 || !found[0].Valid() || !found[0].IsPublic() || found[0].Use != "sig" || found[0].Algorithm != string(alg) {
			t.Fatalf("%s: published as %+v", alg, found)
		}
		if got, err := token.Verify(found[0]); err != nil || !bytes.Equal(got, claims) {
			t.Errorf("%s: Verify = %q, %v", alg, got, err)
		}
		if header.ExtraHeaders["typ"] != "JWT" || header.ExtraHeaders["x5t"] != header.KeyID {
			t.Errorf("%s: header %v", alg, header.ExtraHeaders)
		}
	}
	if len(set.Keys) != 2 || bytes.Contains(doc.Body, []byte(`"d":`)) {
		t.Errorf("JWKS = %s", doc.Body)
	}
}

// TestThumbprint is the example of https://www.rfc-editor.org/rfc/rfc7638#section-3.1
func TestThumbprint(t *testing.T) {
	j := jwk{Type: "RSA", E: "AQAB", N: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}
	if got, want := j.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; got != want {
		t.Errorf("thumbprint = %s, want %s", got, want)
	}
}
