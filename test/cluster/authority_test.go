package cluster_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// webhookHost is where an API server finds the webhook.
const webhookHost = "azure-wi-webhook-webhook-service." + system + ".svc"

// authority signs the webhook's certificates.
type authority struct {
	cert *x509.Certificate
	pem  []byte
	key  crypto.Signer
}

// pair is a certificate and its key, in PEM.
type pair struct{ cert, key []byte }

// newAuthority makes one that is good from a time on.
func newAuthority(t *testing.T, from time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(from.UnixNano()), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: from, NotAfter: from.AddDate(10, 0, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{cert: template, key: key}
	a.cert, a.pem = a.sign(t, template, key.Public())
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, []byte) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// leaf is a certificate for the webhook.
func (a *authority) leaf(t *testing.T, until time.Time) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, cert := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(until.UnixNano()), DNSNames: []string{webhookHost}, NotBefore: a.cert.NotBefore, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key.Public())
	return pair{cert, privateKey(t, key)}
}

func privateKey(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// secret is the data of the webhook's Secret, which may trust more authorities.
func (a *authority) secret(t *testing.T, leaf pair, more ...[]byte) object {
	t.Helper()
	encode := base64.StdEncoding.EncodeToString
	return object{
		"ca.crt": encode(append(bytes.Clone(a.pem), bytes.Join(more, nil)...)), "ca.key": encode(privateKey(t, a.key)),
		"tls.crt": encode(leaf.cert), "tls.key": encode(leaf.key),
	}
}
