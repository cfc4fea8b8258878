package webhook

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const day = 24 * time.Hour

var testNames = []string{"hook.ns.svc", "hook.ns.svc.cluster.local"}

func start() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func everywhere([]byte) bool { return true }

func step(t rapid.TB, k keys, published func([]byte) bool, now time.Time) (keys, string) {
	t.Helper()
	next, why, err := plan(k, testNames, published, now)
	if err != nil {
		t.Fatal(err)
	}
	return next, why
}

// trusts says whether who trusts bundle accepts what k has to serve.
func trusts(bundle []byte, k keys, now time.Time) error {
	pair, err := loadLeaf(k)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: testNames[0], Roots: roots, CurrentTime: now})
	return err
}

func TestFirstPlanIsKept(t *testing.T) {
	now := start()
	k, why := step(t, nil, everywhere, now)
	if why == "" || trusts(k[caCert], k, now) != nil {
		t.Fatalf("why = %q, trusts = %v", why, trusts(k[caCert], k, now))
	}
	again, why := step(t, k, everywhere, now.Add(day))
	if why != "" || !bytes.Equal(again[serverCert], k[serverCert]) || !bytes.Equal(again[caCert], k[caCert]) {
		t.Errorf("a day later: %q", why)
	}
}

func TestCertificateIsRenewedUnderTheSameAuthority(t *testing.T) {
	now := start()
	k, _ := step(t, nil, everywhere, now)
	next, why := step(t, k, everywhere, now.Add(61*day))
	if why != "made a new certificate" || !bytes.Equal(next[caCert], k[caCert]) || bytes.Equal(next[serverCert], k[serverCert]) {
		t.Errorf("why = %q", why)
	}
}

func TestBrokenSecretIsMadeAnew(t *testing.T) {
	now := start()
	good, _ := step(t, nil, everywhere, now)
	other, _ := step(t, nil, everywhere, now)
	for name, change := range map[string]func(keys){
		"no-key":           func(k keys) { delete(k, serverKey) },
		"another-key":      func(k keys) { k[serverKey] = other[serverKey] },
		"another-ca":       func(k keys) { k[caCert] = other[caCert] },
		"garbage":          func(k keys) { k[serverCert], k[caCert] = []byte("x"), []byte("y") },
		"another-services": func(k keys) { k[serverCert], k[serverKey] = otherName(t, now) },
	} {
		t.Run(name, func(t *testing.T) {
			k := keys{}
			for n, v := range good {
				k[n] = v
			}
			change(k)
			next, why := step(t, k, everywhere, now.Add(time.Hour))
			if err := trusts(next[caCert], next, now.Add(time.Hour)); why == "" || err != nil {
				t.Errorf("why = %q, trusts = %v", why, err)
			}
		})
	}
}

func otherName(t *testing.T, now time.Time) (cert, key []byte) {
	t.Helper()
	k, _, err := plan(nil, []string{"other.ns.svc"}, everywhere, now)
	if err != nil {
		t.Fatal(err)
	}
	return k[serverCert], k[serverKey]
}

// TestUpstreamsCertificateStaysUntilOursIsTrusted takes over a Secret with an RSA
// authority, as upstream's rotator makes it.
func TestUpstreamsCertificateStaysUntilOursIsTrusted(t *testing.T) {
	now := start()
	old := upstream(t, now)
	if err := trusts(old[caCert], old, now); err != nil {
		t.Fatal(err)
	}
	k, why := step(t, old, everywhere, now)
	if why != "made a new authority" || !bytes.Equal(k[serverCert], old[serverCert]) {
		t.Errorf("at first: %q", why)
	}
	if err := trusts(k[caCert], k, now); err != nil {
		t.Errorf("the bundle lost upstream's authority: %v", err)
	}
	nowhere := func([]byte) bool { return false }
	if _, why := step(t, k, nowhere, now.Add(day)); why != "" {
		t.Errorf("before the API server was told: %q", why)
	}
	next, why := step(t, k, everywhere, now.Add(overlap+time.Minute))
	if why != "made a new certificate" || trusts(k[caCert], next, now.Add(time.Hour)) != nil {
		t.Errorf("after the overlap: %q, %v", why, trusts(k[caCert], next, now.Add(time.Hour)))
	}
}

func upstream(t *testing.T, now time.Time) keys {
	t.Helper()
	key := func() *rsa.PrivateKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	pkcs1 := func(k *rsa.PrivateKey) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})
	}
	rootKey, leafKey := key(), key()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(0), Subject: pkix.Name{CommonName: "upstream"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-day), NotAfter: now.Add(3650 * day), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: testNames[:1], NotBefore: now.Add(-day), NotAfter: now.Add(365 * day),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	sign := func(template *x509.Certificate, public *rsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, root, public.Public(), rootKey)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return keys{caCert: sign(root, rootKey), caKey: pkcs1(rootKey), serverCert: sign(leaf, leafKey), serverKey: pkcs1(leafKey)}
}

// TestNoRequestFailsOverTheYears lets the API server and a second replica lag
// behind by any time below the overlap: the one always trusts the other.
func TestNoRequestFailsOverTheYears(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := start()
		k, _ := step(t, nil, everywhere, now)
		server, slow := k[caCert], k // what the API server trusts, what another replica serves
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(int64(time.Minute), int64(60*day)).Draw(t, "wait")))
			if rapid.Bool().Draw(t, "years") {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(3000*day)).Draw(t, "more")))
			}
			for range 3 { // looks that follow each other closely, then after the overlap
				next, _ := step(t, k, func(der []byte) bool { return contains(server, der) }, now)
				if err := trusts(server, next, now); err != nil && loaded(k, now) {
					t.Fatalf("the API server, which has not been told yet: %v", err)
				}
				server = next[caCert]
				if err := trusts(server, slow, now); err != nil && loaded(slow, now) {
					t.Fatalf("a replica that has not looked yet: %v", err)
				}
				k, slow = next, next
				now = now.Add(overlap + time.Minute)
			}
		}
	})
}

// loaded says whether the certificate has not ended.
func loaded(k keys, now time.Time) bool {
	pair, err := loadLeaf(k)
	return err == nil && now.Before(pair.Leaf.NotAfter)
}

func FuzzPlan(f *testing.F) {
	k, _, err := plan(nil, testNames, everywhere, start())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k[caCert], k[caKey], k[serverCert], k[serverKey])
	f.Add([]byte{}, []byte("-----BEGIN"), []byte("x"), []byte{})
	f.Fuzz(func(t *testing.T, ca, key, cert, certKey []byte) {
		next, _, err := plan(keys{caCert: ca, caKey: key, serverCert: cert, serverKey: certKey}, testNames, everywhere, start())
		if err != nil {
			t.Fatal(err)
		}
		if err := trusts(next[caCert], next, start()); err != nil {
			t.Error(err)
		}
	})
}
