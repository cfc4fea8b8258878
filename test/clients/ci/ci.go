// Package ci plays the identity providers of CI systems: GitHub Actions and Azure
// Pipelines with the endpoints that their jobs ask for a token, and GitLab, which
// hands its tokens out itself. Claims and documents have the shape of the real ones.
package ci

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

// Service is an issuer, and on another port what jobs ask. It is safe for
// concurrent use.
// https://docs.github.com/actions/reference/security/oidc
type Service struct {
	*trusttest.Issuer // its CA is also that of the endpoint

	t        testing.TB
	endpoint *httptest.Server

	mu    sync.Mutex
	jobs  map[string]job    // guarded by mu; by the job's secret
	certs map[string][]byte // guarded by mu; by key id, DER
}

// job is one that may ask for tokens.
type job struct {
	connection string // of Azure Pipelines; empty for GitHub
	token      func(audience string) string
}

// New starts a service with one key; the test's end stops it.
func New(t testing.TB) *Service {
	t.Helper()
	s := &Service{Issuer: trusttest.New(t), t: t, jobs: map[string]job{}, certs: map[string][]byte{}}
	s.Remove(s.KeyID())
	s.Rotate()
	s.HandleDiscovery(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.discovery()) })
	s.HandleKeys(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.keys()) })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/idtoken", s.idToken)
	mux.HandleFunc("POST /jobs/oidctoken", s.oidcToken)
	s.endpoint = httptest.NewTLSServer(mux)
	t.Cleanup(s.endpoint.Close)
	return s
}

// Rotate publishes one key more, and signs with the oldest as before.
func (s *Service) Rotate() {
	s.t.Helper()
	id := s.AddKey(strings.ToUpper(rand.Text()), "RS256")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certs[id] = certificate(s.t, s.PublicKey(id))
}

// Job is the environment of a workflow's job whose tokens have these claims.
func (s *Service) Job(claims map[string]any) []string {
	return s.JobWith(func(audience string) string { return s.Token(claims, audience) })
}

// JobWith is the environment of a job that gets tokens from somewhere else.
func (s *Service) JobWith(token func(audience string) string) []string {
	secret := s.add(job{token: token})
	return []string{"ACTIONS_ID_TOKEN_REQUEST_URL=" + s.endpoint.URL + "/jobs/idtoken?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + secret}
}

// Pipeline is the environment of an Azure Pipelines job that has a service
// connection, ORGANIZATION/PROJECT/CONNECTION, and the subject of its tokens.
func (s *Service) Pipeline(connection string) (env []string, subject string) {
	subject, id := "sc://"+connection, rand.Text()
	secret := s.add(job{connection: id, token: func(audience string) string {
		return s.Token(map[string]any{"sub": subject, "jti": rand.Text()}, audience)
	}})
	return []string{"SYSTEM_OIDCREQUESTURI=" + s.endpoint.URL + "/jobs/oidctoken", "SYSTEM_ACCESSTOKEN=" + secret, "SERVICE_CONNECTION_ID=" + id}, subject
}

func (s *Service) add(j job) (secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret = rand.Text()
	s.jobs[secret] = j
	return secret
}

// Token is a token for an audience, good for five minutes unless the claims say more.
func (s *Service) Token(claims map[string]any, audience string) string {
	s.t.Helper()
	now := time.Now()
	all := map[string]any{"aud": audience, "iat": now.Unix(), "nbf": now.Add(-10 * time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name, value := range claims {
		all[name] = value
	}
	return s.Sign(all, trusttest.Options{Header: map[string]any{"typ": "JWT", "x5t": s.thumbprint(s.KeyID())}})
}

// audience is GitHub's default.
const defaultAudience = "https://github.com/octo-org"

func (s *Service) idToken(w http.ResponseWriter, r *http.Request) {
	j, ok := s.caller(r)
	if !ok || j.connection != "" || r.URL.Query().Get("api-version") != "2.0" {
		http.Error(w, "no such job", http.StatusUnauthorized)
		return
	}
	audience := r.URL.Query().Get("audience")
	if audience == "" {
		audience = defaultAudience
	}
	writeJSON(w, map[string]any{"count": 1, "value": j.token(audience)})
}

// https://learn.microsoft.com/rest/api/azure/devops/distributedtask/oidctoken/create
func (s *Service) oidcToken(w http.ResponseWriter, r *http.Request) {
	j, ok := s.caller(r)
	if !ok || j.connection == "" || r.URL.Query().Get("serviceConnectionId") != j.connection || r.URL.Query().Get("api-version") == "" {
		http.Error(w, "no such job or connection", http.StatusUnauthorized)
		return
	}
	writeJSON(w, map[string]any{"oidcToken": j.token("api://AzureADTokenExchange")})
}

func (s *Service) caller(r *http.Request) (job, bool) {
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[secret]
	return j, ok
}

func (s *Service) discovery() map[string]any {
	return map[string]any{
		"issuer": s.URL, "jwks_uri": s.URL + trusttest.KeysPath,
		"subject_types_supported": []string{"public", "pairwise"}, "response_types_supported": []string{"id_token"},
		"claims_supported":                      append([]string{"sub", "aud", "exp", "iat", "iss", "jti", "nbf"}, claimNames...),
		"id_token_signing_alg_values_supported": []string{"RS256"}, "scopes_supported": []string{"openid"},
	}
}

// keys is the key set with the certificates that GitHub publishes beside the keys.
func (s *Service) keys() map[string]any {
	s.t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(s.JWKS(), &set); err != nil {
		s.t.Errorf("reading the issuer's own keys: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range set.Keys {
		der := s.certs[k["kid"].(string)]
		k["x5c"], k["x5t"] = []string{base64.StdEncoding.EncodeToString(der)}, x5t(der)
	}
	return map[string]any{"keys": set.Keys}
}

func (s *Service) thumbprint(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return x5t(s.certs[id])
}

func x5t(der []byte) string {
	sum := sha1.Sum(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// certificate is one for a key, long expired, as nobody is to look at it.
func certificate(t testing.TB, public any) []byte {
	t.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "actions"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, ca)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writeJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(body)
}
