package publish_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/publish"
)

// A file is read anew at every look, and a key that is in two files is one.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	public := func() []byte {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	first, next := public(), public()
	a, b := write("a.pub", first), write("b.pub", append([]byte("\ufeff"), first...))
	source := publish.Files([]string{a, b})
	one, err := source(t.Context())
	if err != nil || len(one.Keys) != 1 {
		t.Fatalf("%d keys: %v", len(one.Keys), err)
	}
	write("a.pub", next)
	if two, err := source(t.Context()); err != nil || len(two.Keys) != 2 {
		t.Errorf("after a rotation %d keys: %v", len(two.Keys), err)
	}
	write("a.pub", []byte("no PEM"))
	if _, err := source(t.Context()); err == nil || !strings.Contains(err.Error(), a) || fault.Hint(err) == "" {
		t.Errorf("a file without a key: %v", err)
	}
	if _, err := publish.ReadFiles(nil); err == nil {
		t.Error("no file is enough")
	}
}

func TestCluster(t *testing.T) {
	api := kubetest.Start(t)
	k, err := kube.Connect(kube.Config{Kubeconfig: api.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	source, issuer, err := publish.Cluster(t.Context(), k, "")
	if err != nil || issuer != "https://issuer.kubetest.invalid" {
		t.Fatalf("the issuer is %q: %v", issuer, err)
	}
	if set, err := source(t.Context()); err != nil || len(set.Keys) != 1 {
		t.Errorf("%d keys: %v", len(set.Keys), err)
	}
	if _, _, err := publish.Cluster(t.Context(), k, "https://other.example"); err == nil || fault.Hint(err) == "" {
		t.Errorf("another issuer than was named: %v", err)
	}
}
