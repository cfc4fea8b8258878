package devissuer_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/lanyard-io/lanyard/internal/devissuer"
)

func start(t *testing.T) *devissuer.Issuer {
	t.Helper()
	i, err := devissuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

// fetch reads a document as a relying party would: trusting the issuer's CA only.
func fetch(t *testing.T, i *devissuer.Issuer, path string, dst any) {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(i.CA) {
		t.Fatal("the CA is no PEM certificate")
	}
	c := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}}
	res, err := c.Get(path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d", path, res.StatusCode)
	}
	if err := json.NewDecoder(res.Body).Decode(dst); err != nil {
		t.Fatal(err)
	}
}

func keys(t *testing.T, i *devissuer.Issuer) jose.JSONWebKeySet {
	t.Helper()
	var doc struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	fetch(t, i, i.URL+"/.well-known/openid-configuration", &doc)
	if doc.Issuer != i.URL {
		t.Errorf("the document's issuer is %q, want %q", doc.Issuer, i.URL)
	}
	var set jose.JSONWebKeySet
	fetch(t, i, doc.Keys, &set)
	for _, k := range set.Keys {
		if !k.IsPublic() {
			t.Fatal("a private key is published")
		}
	}
	return set
}

type object struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

func TestTokensAreACluster(t *testing.T) {
	i := start(t)
	issued := time.Now().Truncate(time.Second)
	token, err := i.Token("team-a", "runner", "api://aud", issued)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	set := keys(t, i)
	if len(set.Keys) != 1 {
		t.Fatalf("%d keys are published, want 1", len(set.Keys))
	}
	var claims jwt.Claims
	var own struct {
		Kubernetes struct {
			Namespace      string `json:"namespace"`
			ServiceAccount object `json:"serviceaccount"`
			Pod            object `json:"pod"`
			Node           object `json:"node"`
		} `json:"kubernetes.io"`
	}
	if err := parsed.Claims(set, &claims, &own); err != nil {
		t.Fatalf("the published key does not verify the token: %v", err)
	}
	if claims.Issuer != i.URL || claims.Subject != "system:serviceaccount:team-a:runner" || len(claims.Audience) != 1 || claims.Audience[0] != "api://aud" {
		t.Errorf("iss %q, sub %q, aud %v", claims.Issuer, claims.Subject, claims.Audience)
	}
	if !claims.IssuedAt.Time().Equal(issued) || !claims.Expiry.Time().Equal(issued.Add(time.Hour)) || claims.NotBefore.Time().After(issued) {
		t.Errorf("iat %v, nbf %v, exp %v", claims.IssuedAt, claims.NotBefore, claims.Expiry)
	}
	if k := own.Kubernetes; k.Namespace != "team-a" || k.ServiceAccount.Name != "runner" || k.ServiceAccount.UID == "" || k.Pod.Name == "" || k.Node.Name == "" {
		t.Errorf("kubernetes.io is %+v", k)
	}
}

func TestRotateWithdrawsTheOldKey(t *testing.T) {
	i := start(t)
	before := keys(t, i)
	if err := i.Rotate(); err != nil {
		t.Fatal(err)
	}
	after := keys(t, i)
	if len(after.Keys) != 1 || after.Keys[0].KeyID == before.Keys[0].KeyID {
		t.Errorf("before %v, after %v", before.Keys, after.Keys)
	}
	token, err := i.Token("default", "sa", "api://aud", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.Headers[0].KeyID; got != after.Keys[0].KeyID {
		t.Errorf("the token's kid is %q, want %q", got, after.Keys[0].KeyID)
	}
}
