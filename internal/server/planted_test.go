package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
)

// needle is something that must not be found; name says what it is.
type needle struct{ name, text string }

// openly is a word that is stored in the open: a search that does not find it is no search.
const openly = "canary-that-everybody-may-see"

func TestNothingSecretLiesInTheOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := &surfacetest.Log{}
	c := local(dir)
	c.Log, c.Debug = log.Logger(), "127.0.0.1:0"
	r := start(t, c)
	needles := useEverything(t, r)
	metrics := debugPage(t, r, "/metrics")
	r.stop()

	// A second run with a new admin secret, so that start-up with old data is seen too.
	c.NewAdmin = true
	again := start(t, c)
	needles = append(needles, needle{"the first client secret", r.admin.ClientSecret}, needle{"the second client secret", again.admin.ClientSecret})
	again.stop()
	keys := privateKeys(t, dir)
	if len(keys) < 3*4 { // two signing keys and the CA's
		t.Fatalf("only %d forms of private keys to look for", len(keys))
	}
	needles = append(needles, keys...)

	t.Run("disk", func(t *testing.T) {
		found := search(t, dir, append(needles, needle{"the canary", openly}))
		if len(found["the canary"]) == 0 {
			t.Error("the search does not find what is there")
		}
		delete(found, "the canary")
		for what, paths := range found {
			t.Errorf("%s is in %v", what, paths)
		}
	})
	t.Run("log", func(t *testing.T) {
		text := log.String()
		if !strings.Contains(text, "handled request") || !strings.Contains(text, "/secrets/planted") {
			t.Fatal("the log does not have the requests")
		}
		for _, n := range needles {
			if strings.Contains(text, n.text) {
				t.Errorf("%s is in the log", n.name)
			}
		}
	})
	t.Run("metrics", func(t *testing.T) {
		if !strings.Contains(metrics, "lanyard_") {
			t.Fatalf("no metrics: %.200s", metrics)
		}
		for _, n := range needles {
			if strings.Contains(metrics, n.text) {
				t.Errorf("%s is in the metrics", n.name)
			}
		}
	})
}

// useEverything stores, reads, refuses and signs in, and says what must not be found.
func useEverything(t *testing.T, r *running) []needle {
	t.Helper()
	long := strings.Repeat(rand.Text(), 1000)[:25600]
	values := map[string]string{"planted": "planted-" + rand.Text(), "long": long, "odd": "two\nlines \"quoted\" <&> " + rand.Text()}
	needles := []needle{{"the middle of the long value", long[12000:12040]}}
	vault := r.vault("kv-planted")
	for name, value := range values {
		set(t, vault, name, value)
		if got := get(t, vault, name); got != value {
			t.Fatalf("%s is %.40q", name, got)
		}
		needles = append(needles, needle{"the value of " + name, value[len(value)-26:]})
	}
	deleted := "deleted-" + rand.Text()
	set(t, vault, "deleted", deleted)
	if _, err := vault.DeleteSecret(t.Context(), "deleted", nil); err != nil {
		t.Fatal(err)
	}
	value, tag := "tagged-"+rand.Text(), openly
	if _, err := vault.SetSecret(t.Context(), "tagged", azsecrets.SetSecretParameters{Value: &value, Tags: map[string]*string{"seen": &tag}}, nil); err != nil {
		t.Fatal(err)
	}
	needles = append(needles, needle{"the deleted value", deleted}, needle{"the tagged value", value})

	issuer, err := devissuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer issuer.Close()
	id := r.federate("workload", issuer.URL, issuer.CA)
	assertion := func(account string, issued time.Time) string {
		token, err := issuer.Token("default", account, audience, issued)
		if err != nil {
			t.Fatal(err)
		}
		needles = append(needles, parts("an assertion of "+account, token)...)
		return token
	}
	token, code := r.exchange(id.ClientID, assertion("sa", time.Now()))
	if code != "" {
		t.Fatal(code)
	}
	needles = append(needles, parts("the workload's access token", token)...)
	if status, _, _ := r.fetch(r.Names().Own().VaultURL("kv-planted")+"/secrets/planted?api-version=7.4", token); status != 403 {
		t.Errorf("a workload without permission: status %d", status)
	}
	for account, issued := range map[string]time.Time{"someone-else": time.Now(), "sa": time.Now().Add(-3 * time.Hour)} {
		if token, _ := r.exchange(id.ClientID, assertion(account, issued)); token != "" {
			t.Error("a bad assertion was taken")
		}
	}
	if token, _ := r.exchange(id.ClientID, assertion("sa", time.Now())+"AAAA"); token != "" {
		t.Error("a broken assertion was taken")
	}
	admin, err := r.client.ManagementToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.fetch(r.Names().Own().ManagementURL()+"/subscriptions?api-version=2022-12-01&access_token="+admin, admin+"x") // refused, and in the wrong place
	r.arm("POST", "/providers/Lanyard.Trust/signingKeys/rotate", "2026-11-01", nil, nil)
	return append(needles, parts("the admin's access token", admin)...)
}

// parts are a token's payload and signature, either of which is telling.
func parts(name, token string) []needle {
	p := strings.Split(token, ".")
	return []needle{{name, token}, {name + ": payload", p[1]}, {name + ": signature", p[2]}}
}

// privateKeys are the forms in which a private key may lie about, for every one
// that a stopped server's store holds sealed, and the lines of its key file.
func privateKeys(t *testing.T, dir string) (needles []needle) {
	t.Helper()
	b, err := server.OpenBackend(t.Context(), server.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	v, err := b.Store.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kek, err := seal.OpenKeyFile(server.Dir(dir).KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	ks, _, _ := store.Get[*model.Keyset](v, model.KeysetKey)
	sealer, err := seal.Unwrap(t.Context(), ks.Wrapped, kek)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, sealed []byte, sealName string) {
		der, err := sealer.Open(sealed, sealName)
		if err != nil {
			t.Fatal(err)
		}
		needles = append(needles, forms(t, name, der)...)
	}
	ca, _, _ := store.Get[*model.CA](v, model.CAKey)
	add("the CA's key", ca.SealedKey, model.CAKey)
	signing, _, _ := store.Get[*model.SigningKeys](v, model.SigningKeysKey)
	for _, k := range signing.Keys {
		if k.Retired.IsZero() {
			add("signing key "+k.Algorithm, k.Sealed, k.SealName())
		}
	}
	for line := range strings.Lines(string(read(t, dir, "seal.key"))) {
		if line = strings.TrimSpace(line); len(line) >= 32 {
			needles = append(needles, needle{"the key file", line})
		}
	}
	return needles
}

func forms(t *testing.T, name string, der []byte) []needle {
	t.Helper()
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	var secret []byte
	switch k := parsed.(type) {
	case *ecdsa.PrivateKey:
		if secret, err = k.Bytes(); err != nil {
			t.Fatal(err)
		}
	case *rsa.PrivateKey:
		secret = k.Primes[0].Bytes()
	default:
		t.Fatalf("%T", parsed)
	}
	needles := []needle{
		{name + ": raw", string(secret)}, {name + ": hex", hex.EncodeToString(secret)},
		{name + ": JWK", base64.RawURLEncoding.EncodeToString(secret)},
		{name + ": base64", base64.RawStdEncoding.EncodeToString(der)},
	}
	lines := strings.Split(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "\n")
	for _, line := range lines[2 : len(lines)-2] { // the first holds mostly the algorithm
		if len(line) == 64 {
			needles = append(needles, needle{name + ": PEM", line})
		}
	}
	return needles
}

// search reads every file but those that are meant to hold a secret.
func search(t *testing.T, dir string, needles []needle) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "admin.json" || e.Name() == "seal.key" {
			return err
		}
		b, err := os.ReadFile(path)
		for _, n := range needles {
			if bytes.Contains(b, []byte(n.text)) {
				found[n.name] = append(found[n.name], path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func debugPage(t *testing.T, r *running, path string) string {
	t.Helper()
	status, body := plain(t, context.Background(), "http://"+r.State().Debug+path)
	if status != 200 {
		t.Fatalf("%s: status %d", path, status)
	}
	return body
}
