package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime of all certificates: a cluster for tests, or for an afternoon.
const lifetime = 30 * 24 * time.Hour

// users are who calls the API server, by what their kubeconfig is called.
// https://kubernetes.io/docs/setup/best-practices/certificates/
var users = map[string]pkix.Name{
	"admin":      {CommonName: "admin", Organization: []string{"system:masters"}},
	"controller": {CommonName: "system:kube-controller-manager"},
	"scheduler":  {CommonName: "system:kube-scheduler"},
	"proxy":      {CommonName: "system:kube-proxy"},
	"kubelet":    {CommonName: "system:node:node", Organization: []string{"system:nodes"}},
	"apiserver":  {CommonName: "kube-apiserver", Organization: []string{"system:masters"}}, // to the kubelet
}

type authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
	made int64 // serial numbers given
}

// pki makes what a cluster needs, unless the directory has it already: one CA,
// a certificate for each user and server, the service accounts' key.
func pki(args []string) error {
	var dir, server string
	var addresses []net.IP
	err := parse("pki", args, func(f *flag.FlagSet) {
		f.StringVar(&dir, "dir", "", "where to put all")
		f.StringVar(&server, "server", "", "the API server's URL")
		f.Func("address", "of the servers, beside loopback", func(s string) error {
			addresses = append(addresses, net.ParseIP(s))
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(dir)
	if err != nil {
		return err
	}
	addresses = append(addresses, net.IPv4(127, 0, 0, 1))
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "node"}
	for _, name := range []string{"apiserver-server", "kubelet-server"} {
		if err := ca.issue(name, &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, IPAddresses: addresses, DNSNames: names,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}); err != nil {
			return err
		}
	}
	for name, subject := range users {
		if err := ca.issue(name, &x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			return err
		}
		if err := ca.kubeconfig(name, server); err != nil {
			return err
		}
	}
	return accountKey(dir)
}

func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &authority{dir: dir, key: key}
	a.cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: "cluster"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	return a, a.write("ca", a.cert, key)
}

func (a *authority) issue(name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	return a.write(name, template, key)
}

func (a *authority) write(name string, template *x509.Certificate, key crypto.Signer) error {
	a.made++
	template.SerialNumber = big.NewInt(a.made)
	template.NotBefore = time.Now().Add(-time.Minute)
	template.NotAfter = template.NotBefore.Add(lifetime)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", name, err)
	}
	if err := writePEM(filepath.Join(a.dir, name+".crt"), "CERTIFICATE", der); err != nil {
		return err
	}
	return writeKey(filepath.Join(a.dir, name+".key"), key)
}

func (a *authority) kubeconfig(user, server string) error {
	var data [3]string
	for i, name := range []string{"ca.crt", user + ".crt", user + ".key"} {
		b, err := os.ReadFile(filepath.Join(a.dir, name))
		if err != nil {
			return err
		}
		data[i] = base64.StdEncoding.EncodeToString(b)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: %[1]s
clusters: [{name: test, cluster: {server: %[2]q, certificate-authority-data: %[3]s}}]
users: [{name: %[1]s, user: {client-certificate-data: %[4]s, client-key-data: %[5]s}}]
contexts: [{name: %[1]s, context: {cluster: test, user: %[1]s}}]
`, user, server, data[0], data[1], data[2])
	return os.WriteFile(filepath.Join(a.dir, user+".kubeconfig"), []byte(text), 0o600)
}

// accountKey signs the service accounts' tokens; the public half is a file of
// its own, which may hold several.
func accountKey(dir string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, "accounts.pub"), "PUBLIC KEY", public); err != nil {
		return err
	}
	return writeKey(filepath.Join(dir, "accounts.key"), key)
}

func writeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
