package signing

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

// TestRestart stops everything and starts it again from the disk: the same
// keys, and a token from before is still good. What is on the disk meanwhile
// shows no private key.
func TestRestart(t *testing.T) {
	dir, sealer := t.TempDir(), newTestSealer(t)
	wrapped, err := sealer.Wrap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var token, kid string
	var status []model.SigningKey
	var secrets [][]byte
	t.Run("before", func(t *testing.T) {
		k := newTestKeysOn(t, storetest.Open(t, dir), sealer)
		secrets = privateBytes(t, k)
		if _, err := k.Rotate(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, privateBytes(t, k)...)
		token, kid, status = mustSign(t, k, ES256), k.ring.Load().signers[ES256].id, k.Status()
	})

	raw := readTree(t, dir)
	if !bytes.Contains(raw, []byte(kid)) {
		t.Error("not even the key's id is on the disk: this test looks in the wrong place")
	}
	for i, secret := range secrets {
		if bytes.Contains(raw, secret) {
			t.Errorf("a private key is on the disk in clear (form %d)", i)
		}
	}

	t.Run("after", func(t *testing.T) {
		if err := sealer.Load(t.Context(), wrapped); err != nil {
			t.Fatal(err)
		}
		k := newTestKeysOn(t, storetest.Open(t, dir), sealer)
		if diff := cmp.Diff(status, k.Status()); diff != "" {
			t.Errorf("keys after the restart (-before +after):\n%s", diff)
		}
		if got, err := k.Verify(token); err != nil || got != string(claims) {
			t.Errorf("Verify of a token from before the restart = %q, %v", got, err)
		}
	})
}

// TestReplicas: two stores on one etcd, each with its own View. A token of a
// key that the other made a moment ago is good at once.
func TestReplicas(t *testing.T) {
	etcd, sealer := storetest.Etcd(t), newTestSealer(t)
	a := newTestKeysOn(t, storetest.On(t, etcd), sealer)
	clock := newClock()
	b, err := New(t.Context(), Config{Store: storetest.On(t, etcd), Sealer: sealer, Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		clock.set(clock.now().Add(refreshEvery))
		if changed, err := a.Rotate(t.Context(), true); err != nil || !changed {
			t.Fatalf("Rotate: %t, %v", changed, err)
		}
		if _, err := b.Verify(mustSign(t, a, ES256)); err != nil {
			t.Fatalf("verifying on the other replica: %v", err)
		}
	}
}

// privateBytes is every form in which a leak of the keys would be recognised.
func privateBytes(t *testing.T, k *Keys) [][]byte {
	t.Helper()
	var forms [][]byte
	for _, key := range k.ring.Load().signers {
		der, err := x509.MarshalPKCS8PrivateKey(key.private)
		if err != nil {
			t.Fatal(err)
		}
		forms = append(forms, der, []byte(base64.StdEncoding.EncodeToString(der)))
		var numbers [][]byte
		switch private := key.private.(type) {
		case *ecdsa.PrivateKey:
			d, err := private.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, d)
		case *rsa.PrivateKey:
			numbers = append(numbers, private.D.Bytes(), private.Primes[0].Bytes(), private.Primes[1].Bytes())
		}
		for _, n := range numbers {
			forms = append(forms, n, []byte(base64.RawURLEncoding.EncodeToString(n)), []byte(hex.EncodeToString(n)))
		}
	}
	return forms
}

func readTree(t *testing.T, dir string) []byte {
	t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}
