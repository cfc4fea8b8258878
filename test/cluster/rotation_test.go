package cluster_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testRotation gives the cluster's issuer a new key, as its operator does: first
// both keys verify, then the old one is withdrawn.
func testRotation(t *testing.T, c *cluster) {
	namespace := c.namespace(t, "rotation")
	s := newServer(t, c)
	s.lanyard(nil, "cluster", "attach", "dev", "--kubeconfig", c.kubeconfig())
	var identity struct {
		Properties struct{ ClientID string }
	}
	s.lanyard(&identity, "identity", "create", "app")
	s.lanyard(nil, "credential", "create", "dev", "--identity", "app", "--issuer", issuer, "--subject", "system:serviceaccount:rotation:default")
	client := identity.Properties.ClientID

	before := c.token(t, namespace, "default", audience)
	if refusal := s.exchange(client, before); !strings.Contains(refusal, "AADSTS") {
		t.Errorf("a cluster's token works before its issuer is enabled: %q", refusal)
	}
	s.lanyard(nil, "cluster", "attach", "dev", "--kubeconfig", c.kubeconfig(), "--enable-oidc-issuer", "--take-over-issuer")
	if refusal := s.exchange(client, before); refusal != "" {
		t.Fatalf("a cluster's token: %s", refusal)
	}

	old := c.signWithNewKey(t)
	c.restart(t, "kube-apiserver")
	after := c.token(t, namespace, "default", audience)
	eventually(t, "a token by the new key", 2*time.Minute, func() error {
		if refusal := s.exchange(client, before); refusal != "" {
			t.Fatalf("a token by the old key, in the overlap: %s", refusal)
		}
		if refusal := s.exchange(client, after); refusal != "" {
			return errors.New(refusal)
		}
		return nil
	})

	c.withdraw(t, old)
	c.restart(t, "kube-apiserver")
	s.stop() // the keys are read every minute, and at the start
	s.start()
	eventually(t, "a withdrawn key", 2*time.Minute, func() error {
		if refusal := s.exchange(client, after); refusal != "" {
			t.Fatalf("a token by the new key: %s", refusal)
		}
		if refusal := s.exchange(client, before); refusal == "" {
			return errors.New("it still works")
		} else if !strings.Contains(refusal, "AADSTS") {
			t.Errorf("a token by a withdrawn key: %s", refusal)
		}
		return nil
	})
}

// signWithNewKey makes a key that signs from the API server's next start on, and
// lets both verify. It returns the old public key.
func (c *cluster) signWithNewKey(t *testing.T) (old []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	old = read(t, c.publicKeys())
	both := append(old, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})...)
	write(t, c.publicKeys(), both)
	write(t, filepath.Join(c.dir, "pki", "accounts.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return old
}

// withdraw takes a public key away, at the API server's next start.
func (c *cluster) withdraw(t *testing.T, old []byte) {
	t.Helper()
	write(t, c.publicKeys(), []byte(strings.Replace(string(read(t, c.publicKeys())), string(old), "", 1)))
}

// publicKeys is the file with the keys that verify the service accounts' tokens.
func (c *cluster) publicKeys() string { return filepath.Join(c.dir, "pki", "accounts.pub") }

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
