package clients_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/devissuer"
)

const (
	vaultName   = "kv-clients"
	secretName  = "mysecret"
	secretValue = `LevelUp Lab Secret\!`
	account     = "workload-identity-sa"
	stranger    = "someone-else" // another service account of the cluster
	audience    = "api://AzureADTokenExchange"
)

// identity is a managed identity that trusts the cluster for account.
type identity struct {
	Properties struct {
		ClientID string `json:"clientId"`
	} `json:"properties"`
}

// application is an app registration with a secret or a certificate.
type application struct {
	AppID              string `json:"appId"`
	Password           string `json:"password"`
	ServicePrincipalID string `json:"servicePrincipalId"`
}

// tenant is what one server holds for the clients, made with its command line
// as an administrator makes it.
type tenant struct {
	vaultURL string
	reader   identity // may get secrets, as a workload does
	officer  identity // may do everything with secrets
	nobody   identity // may do nothing
	secret   application
	cert     application
	certFile string // PEM, certificate and key

	chained   application // whose certificate an authority of its own has signed
	chainFile string      // PEM, key, certificate and the authority's

	token   string // file with a token of account
	foreign string // file with a token of stranger
}

// newTenant fills a new server.
func newTenant(t *testing.T, s *server, cluster *devissuer.Issuer) *tenant {
	t.Helper()
	tn := &tenant{}
	dir := t.TempDir()
	ca := filepath.Join(dir, "cluster-ca.pem")
	writeFile(t, ca, cluster.CA)
	s.lanyard(t, nil, "issuer", "set", cluster.URL, "--ca", ca)

	var vault struct {
		Properties struct{ VaultURI string }
	}
	s.lanyard(t, &vault, "vault", "create", vaultName)
	tn.vaultURL = vault.Properties.VaultURI
	s.lanyardIn(t, secretValue, nil, "secret", "set", vaultName, secretName)

	tn.reader = s.newIdentity(t, cluster, "reader", "get")
	tn.officer = s.newIdentity(t, cluster, "officer", "all,purge")
	tn.nobody = s.newIdentity(t, cluster, "nobody", "")

	tn.secret = s.newApplication(t, "deployer")
	tn.certFile = filepath.Join(dir, "builder.pem")
	newCertificate(t, tn.certFile, false)
	tn.cert = s.newApplication(t, "builder", "--certificate", tn.certFile)
	tn.chainFile = filepath.Join(dir, "chained.pem")
	newCertificate(t, tn.chainFile, true)
	tn.chained = s.newApplication(t, "chained", "--certificate", tn.chainFile)

	tn.token, tn.foreign = filepath.Join(dir, "token"), filepath.Join(dir, "foreign-token")
	for file, sa := range map[string]string{tn.token: account, tn.foreign: stranger} {
		token, err := cluster.Token("default", sa, audience, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, []byte(token))
	}
	return tn
}

// newIdentity makes an identity that trusts the cluster for account, with these
// permissions on secrets.
func (s *server) newIdentity(t *testing.T, cluster *devissuer.Issuer, name, secrets string) (i identity) {
	t.Helper()
	s.lanyard(t, &i, "identity", "create", name)
	s.lanyard(t, nil, "credential", "create", "cluster", "--identity", name,
		"--issuer", cluster.URL, "--subject", "system:serviceaccount:default:"+account)
	if secrets != "" {
		s.lanyard(t, nil, "policy", "set", vaultName, "--identity", name, "--secrets", secrets)
	}
	return i
}

// newApplication makes an application that may get secrets. With a certificate
// it has no password.
func (s *server) newApplication(t *testing.T, name string, flags ...string) (a application) {
	t.Helper()
	s.lanyard(t, &a, append([]string{"app", "create", name}, flags...)...)
	s.lanyard(t, nil, "policy", "set", vaultName, "--object-id", a.ServicePrincipalID, "--secrets", "get")
	return a
}

// newCertificate writes a certificate and its key into one PEM file, as every SDK
// takes it. It is self-signed, or an authority's, whose certificate then follows.
func newCertificate(t *testing.T, file string, chain bool) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "builder"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	key := newKey(t)
	parent, signer, certificates := template, key, [][]byte{nil}
	if chain {
		parent, signer = &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "authority"},
			NotBefore: template.NotBefore, NotAfter: template.NotAfter, IsCA: true, BasicConstraintsValid: true,
		}, newKey(t)
		certificates = append(certificates, sign(t, parent, parent, signer, signer))
	}
	certificates[0] = sign(t, template, parent, key, signer)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for _, der := range certificates {
		content = append(content, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	writeFile(t, file, content)
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, signer *rsa.PrivateKey) (der []byte) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// startCluster plays a cluster until the test ends.
func startCluster(t *testing.T) *devissuer.Issuer {
	t.Helper()
	cluster, err := devissuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Close() })
	return cluster
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
