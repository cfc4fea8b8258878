package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// apiserver FILE [TOKEN]: play the API server of a cluster as far as attaching needs
// it, which takes every token; FILE becomes a kubeconfig for it.
func startAPIServer(ts *testscript.TestScript, _ bool, args []string) {
	token := "anything"
	if len(args) > 1 {
		token = args[1]
	}
	mux := http.NewServeMux()
	s := httptest.NewTLSServer(mux)
	ts.Defer(s.Close)
	for path, body := range map[string]string{
		"/version":                          `{"gitVersion":"v1.36.2"}`,
		"/.well-known/openid-configuration": fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, s.URL, s.URL+"/openid/v1/jwks"),
		"/openid/v1/jwks": `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","use":"sig","alg":"ES256",` +
			`"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: %q, certificate-authority-data: %s}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
users: [{name: test, user: {token: %s}}]
`, s.URL, base64.StdEncoding.EncodeToString(ca), token), 0o600))
}
