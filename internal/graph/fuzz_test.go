package graph_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/graph"
)

// testCertificate is a self-signed certificate's DER in base64.
func testCertificate(t testing.TB, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 30)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return base64.StdEncoding.EncodeToString(der)
}

// A filter that is accepted means the same when it is written out again.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		"appId eq 'x'", "startswith(displayName,'it''s')", "servicePrincipalNames/any(c:c eq 'https://x/y')",
		"displayName eq 'a' and appId eq 'b'", "a/any(x:y eq 'z')", "a eq ''", "a eq 'b' or c eq 'd'", "not(a eq 'b')", "(", " ", "startswith eq 'x'",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		written, err := graph.Rewrite(s)
		if err != nil {
			return
		}
		again, err := graph.Rewrite(written)
		if err != nil || again != written {
			t.Errorf("%q was read as %q, and that as %q, %v", s, written, again, err)
		}
	})
}

// Whatever comes, the answer is JSON in Graph's form, and never ours to blame.
func FuzzRequest(f *testing.F) {
	e := newEnv(f)
	app, principal := e.app(f, "fuzzed")
	f.Add("GET", "/v1.0/applications(appId='"+app.AppID+"')?$filter=x", "")
	f.Add("GET", "/v1.0/servicePrincipals?$filter=displayName%20eq%20'x'&$top=1&$skiptoken=L2FwcGxpY2F0aW9ucy8", "")
	f.Add("PATCH", "/v1.0/APPLICATIONS/"+app.ID+"/", `{"displayName":"y","keyCredentials":[{"key":"AAAA","type":"AsymmetricX509Cert","usage":"Verify"}]}`)
	f.Add("POST", "/v1.0/servicePrincipals/"+principal.ID+"/addPassword", `{"passwordCredential":null}`)
	f.Add("POST", "/v1.0/applications/"+app.ID+"/federatedIdentityCredentials", `{"name":"abc","issuer":"https://i","subject":"s","audiences":["a"],"claimsMatchingExpression":null}`)
	f.Add("GET", "/v1.0/applications/"+app.ID+"/federatedIdentityCredentials/%2e%2e%2f", "")
	f.Add("POST", "/v1.0/directoryObjects/getByIds", `{"ids":["x"],"types":null}`)
	for _, key := range []string{
		"(appId='" + app.AppID + "')", "%28appId%3D%27" + app.AppID + "%27%29", "(id='" + app.ID + "')", "('" + app.ID + "')", "(" + app.ID + ")",
		"(uniqueName='it''s')", "(uniqueName='')", "(appId=')", "(appId=''')", "(appId='x'", "(appId=x)", "()", "(", "(appId='a/b')", "(appId='a%2Fb')",
		"(appId='x')(appId='y')", "(appId='x',id='y')", "(name='x')", "/(appId='x')", "(APPID='" + app.AppID + "')", "(%20appId=%20'x')",
	} {
		f.Add("GET", "/v1.0/applications"+key, "")
		f.Add("DELETE", "/v1.0/servicePrincipals"+key, "")
		f.Add("PATCH", "/v1.0/applications/"+app.ID+"/federatedIdentityCredentials"+key, `{"issuer":"https://i","subject":"s","audiences":["a"]}`)
	}
	f.Fuzz(func(t *testing.T, method, uri, body string) {
		switch method {
		case "GET", "POST", "PATCH", "DELETE", "PUT":
		default:
			t.Skip()
		}
		req := httptest.NewRequest(method, "/", strings.NewReader(body))
		u, err := url.ParseRequestURI(uri)
		if err != nil {
			t.Skip() // net/http would not let it in either
		}
		req.URL, req.RequestURI, req.Host = u, uri, "graph.lanyard.test"
		req.Header.Set("Authorization", "Bearer alice")
		w := httptest.NewRecorder()
		e.edge.ServeHTTP(w, req)
		var v map[string]any
		if w.Body.Len() > 0 {
			if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
				t.Fatalf("%s %q: the answer is not JSON: %v\n%s", method, uri, err, w.Body)
			}
		}
		if w.Code >= 500 {
			t.Fatalf("%s %q %q = %d %s", method, uri, body, w.Code, w.Body)
		}
		if detail, ok := v["error"].(map[string]any); w.Code >= 400 && (!ok || detail["code"] == "" || detail["message"] == "" || detail["innerError"] == nil) {
			t.Fatalf("%s %q = %d %s, want an error with code, message and innerError", method, uri, w.Code, w.Body)
		}
	})
}

// What is taken for a certificate is one that clients can sign with.
func FuzzCertificate(f *testing.F) {
	good := testCertificate(f, 2048)
	f.Add(good)
	f.Add(good[:64] + "\n" + good[64:])
	f.Add(testCertificate(f, 1024))
	f.Add("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCkFBQUEKLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo=")
	f.Fuzz(func(t *testing.T, text string) {
		cert, err := graph.ParseCertificate(text)
		if err != nil {
			return
		}
		if again, err := x509.ParseCertificate(cert.Raw); err != nil || again.PublicKey.(*rsa.PublicKey).N.BitLen() < 2048 {
			t.Errorf("%q was taken for a certificate: %v", text, err)
		}
	})
}
