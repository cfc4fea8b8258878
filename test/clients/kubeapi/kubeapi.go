// Package kubeapi plays the kube-apiserver of a cluster for tests: its version and
// its issuer's documents, and only for who holds its token. It is no Kubernetes:
// those tests are in test/cluster.
package kubeapi

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/lanyard-io/lanyard/internal/devissuer"
)

// Token is the bearer token of the cluster's admin.
const Token = "the-service-account-token"

// Server is a cluster. Its issuer is a real one, at another address, as in a
// managed cluster.
type Server struct {
	URL    string
	Issuer *devissuer.Issuer

	srv *httptest.Server
}

// Start runs it on loopback until Close.
func Start() (*Server, error) {
	issuer, err := devissuer.Start()
	if err != nil {
		return nil, err
	}
	s := &Server{Issuer: issuer}
	s.srv = httptest.NewTLSServer(s.handler())
	s.URL = s.srv.URL
	return s, nil
}

// Close ends it, and its issuer.
func (s *Server) Close() {
	s.srv.Close()
	s.Issuer.Close()
}

func (s *Server) handler() http.Handler {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.Issuer.CA)
	documents := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}
	pass := func(w http.ResponseWriter, r *http.Request) {
		resp, err := documents.Get(s.Issuer.URL + r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		io.Copy(w, resp.Body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"major":"1","minor":"37","gitVersion":"v1.37.2"}`)
	})
	mux.HandleFunc("GET /.well-known/openid-configuration", pass)
	mux.HandleFunc("GET /openid/v1/jwks", pass)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+Token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Kubeconfig is the file that kubectl would use.
func (s *Server) Kubeconfig() []byte {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.srv.Certificate().Raw})
	return []byte(`apiVersion: v1
kind: Config
current-context: admin@dev
clusters:
- name: dev
  cluster:
    server: ` + s.URL + `
    certificate-authority-data: ` + base64.StdEncoding.EncodeToString(ca) + `
users:
- name: admin
  user:
    token: ` + Token + `
contexts:
- name: admin@dev
  context: {cluster: dev, user: admin}
`)
}
