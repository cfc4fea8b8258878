package kubetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// authority signs the certificates of the API server and of its users.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t TB) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "kubetest"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return &authority{cert, key}
}

// leaf is a certificate and its key, as PEM.
func (a *authority) leaf(t TB, name pkix.Name, notAfter time.Time) (cert, key []byte) {
	t.Helper()
	private := newKey(t)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: name, NotBefore: notAfter.Add(-48 * time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	check(t, err)
	return encode("CERTIFICATE", der), keyPEM(t, private)
}

func (a *authority) pem() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// KubeconfigFor is a kubeconfig for a new user of these groups, whose
// certificate ends then.
func (s *Server) KubeconfigFor(t TB, notAfter time.Time, user string, groups ...string) []byte {
	t.Helper()
	cert, key := s.ca.leaf(t, pkix.Name{CommonName: user, Organization: groups}, notAfter)
	return kubeconfig(t, s.URL, s.ca.pem(), map[string]any{
		"client-certificate-data": base64.StdEncoding.EncodeToString(cert),
		"client-key-data":         base64.StdEncoding.EncodeToString(key),
	})
}

// KubeconfigWithToken is a kubeconfig for whoever has a token.
func (s *Server) KubeconfigWithToken(t TB, token string) []byte {
	t.Helper()
	return kubeconfig(t, s.URL, s.ca.pem(), map[string]any{"token": token})
}

// KubeconfigOf is a kubeconfig for a played API server, and for whoever has a token.
func KubeconfigOf(t TB, url string, cert *x509.Certificate, token string) []byte {
	t.Helper()
	return kubeconfig(t, url, encode("CERTIFICATE", cert.Raw), map[string]any{"token": token})
}

func kubeconfig(t TB, server string, ca []byte, user map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []any{map[string]any{"name": "test", "cluster": map[string]any{
			"server": server, "certificate-authority-data": base64.StdEncoding.EncodeToString(ca),
		}}},
		"users":    []any{map[string]any{"name": "test", "user": user}},
		"contexts": []any{map[string]any{"name": "test", "context": map[string]any{"cluster": "test", "user": "test"}}},
	})
	check(t, err)
	return b
}

func newKey(t TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func keyPEM(t TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	check(t, err)
	return encode("EC PRIVATE KEY", der)
}

func serial(t TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	check(t, err)
	return n
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func check(t TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Stranger is a kubeconfig for the server whose CA and user are another's.
func Stranger(t TB, s *Server) []byte {
	t.Helper()
	other := &Server{URL: s.URL, ca: newAuthority(t)}
	return other.KubeconfigFor(t, time.Now().Add(time.Hour), "stranger")
}
