package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/pki"
)

// A certificate that was made while the clock was ahead is made again when it is set right.
func TestClockIsSetBack(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, 24 * time.Hour, 300 * 24 * time.Hour} {
		now := time.Now()
		clk := &clock{now.Add(ahead)}
		ca, err := pki.NewCA([]string{"lanyard.test"}, clk.t)
		if err != nil {
			t.Fatal(err)
		}
		c, err := pki.NewCertificates(pki.Config{CA: ca, Names: []string{"lanyard.test"}, Log: slog.New(slog.DiscardHandler), Now: clk.now})
		if err != nil {
			t.Fatal(err)
		}
		clk.t = now
		cert := c.Current(t.Context())
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca.PEM())
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: "lanyard.test", Roots: pool, CurrentTime: now}); err != nil {
			t.Errorf("after the clock was %s ahead: %v", ahead, err)
		}
		if err := c.State(t.Context()).Valid(now); err != nil {
			t.Errorf("after the clock was %s ahead: %v", ahead, err)
		}
		serial := cert.Leaf.SerialNumber
		clk.t = now.Add(-10 * time.Minute) // a small step makes none
		if again := c.Current(t.Context()).Leaf.SerialNumber; again.Cmp(serial) != 0 {
			t.Error("made again for a small step of the clock")
		}
	}
}

// Files are looked at again although the clock went back after the last look.
func TestFilesAreReloadedWhenTheClockIsSetBack(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := pair(t, dir, 0o600)
	clk := &clock{time.Now().Add(30 * time.Minute)}
	c, err := pki.NewCertificates(pki.Config{CertFile: certFile, KeyFile: keyFile, Log: slog.New(slog.DiscardHandler), Now: clk.now})
	if err != nil {
		t.Fatal(err)
	}
	first := serial(t, c)
	pair(t, dir, 0o600)
	clk.t = time.Now()
	if serial(t, c) == first {
		t.Error("not reloaded")
	}
}

// operatorCert is an operator's chain, leaf first, with its key.
type operatorCert struct {
	names       []string
	begin, end  time.Duration // from now
	usage       []x509.ExtKeyUsage
	issuerURL   string
	middle      bool // an intermediate signs it
	leaveMiddle bool // and is not in the file
	stranger    bool // another certificate follows it
}

func (o operatorCert) write(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	rootKey, root := authority(t, nil, nil, "root")
	signer, signerKey := root, rootKey
	var chain []byte
	if o.middle {
		signerKey, signer = authority(t, root, rootKey, "middle")
		if !o.leaveMiddle {
			chain = signer.Raw
		}
	}
	if o.stranger {
		_, other := authority(t, nil, nil, "stranger")
		chain = other.Raw
	}
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: o.names, ExtKeyUsage: o.usage,
		NotBefore: time.Now().Add(o.begin), NotAfter: time.Now().Add(o.end),
	}
	if o.issuerURL != "" {
		template.IssuingCertificateURL = []string{o.issuerURL}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if chain != nil {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain})...)
	}
	return write(t, dir, "tls.crt", out, 0o644), write(t, dir, "tls.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)
}

// What clients would refuse is refused at the start, and under load the old one stays.
func TestOperatorsCertificateMustSuit(t *testing.T) {
	want := []string{"login.d.test", "*.vault.d.test"}
	good := operatorCert{names: want, begin: -time.Hour, end: time.Hour, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	change := func(f func(*operatorCert)) operatorCert {
		c := good
		f(&c)
		return c
	}
	for name, test := range map[string]struct {
		cert operatorCert
		says string // empty: it is taken
	}{
		"good":             {good, ""},
		"wildcard":         {change(func(c *operatorCert) { c.names = []string{"*.d.test", "*.vault.d.test"} }), ""},
		"with-its-chain":   {change(func(c *operatorCert) { c.middle = true }), ""},
		"no-usage":         {change(func(c *operatorCert) { c.usage = nil }), ""},
		"private-root":     {change(func(c *operatorCert) { c.middle, c.leaveMiddle = true, true }), ""}, // the signer may be a root
		"ended":            {change(func(c *operatorCert) { c.begin, c.end = -2*time.Hour, -time.Hour }), "it ended on"},
		"not-yet":          {change(func(c *operatorCert) { c.begin = 30 * time.Minute }), "not valid before"},
		"other-names":      {change(func(c *operatorCert) { c.names = []string{"other.test"} }), "it is not for login.d.test, *.vault.d.test"},
		"no-vaults":        {change(func(c *operatorCert) { c.names = want[:1] }), "it is not for *.vault.d.test"},
		"wildcard-too-far": {change(func(c *operatorCert) { c.names = []string{"*.d.test"} }), "it is not for *.vault.d.test"},
		"for-clients":      {change(func(c *operatorCert) { c.usage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "does not allow servers"},
		"chain-of-another": {change(func(c *operatorCert) { c.stranger = true }), "its chain is not complete, or not in order"},
		"no-chain":         {change(func(c *operatorCert) { c.middle, c.leaveMiddle, c.issuerURL = true, true, "http://ca.test/ca.crt" }), "its chain is not complete"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			certFile, keyFile := test.cert.write(t, dir)
			clk := &clock{time.Now()}
			var log bytes.Buffer
			c := pki.Config{CertFile: certFile, KeyFile: keyFile, Names: want, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: clk.now}
			_, err := pki.NewCertificates(c)
			if test.says == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), certFile) {
				t.Errorf("err = %v, want %q", err, test.says)
			}

			good.write(t, dir)
			certs, err := pki.NewCertificates(c)
			if err != nil {
				t.Fatal(err)
			}
			old := serial(t, certs)
			test.cert.write(t, dir)
			clk.t = clk.t.Add(11 * time.Second)
			if serial(t, certs) != old {
				t.Error("it replaced a good one")
			}
			state := certs.State(t.Context())
			if state.Failure == nil || !strings.Contains(state.Failure.Error(), test.says) || !strings.Contains(log.String(), "kept the old certificate") {
				t.Errorf("failure %v, log %s", state.Failure, log.String())
			}
			clk.t = clk.t.Add(11 * time.Second)
			if certs.State(t.Context()).Failure == nil {
				t.Error("the failure was forgotten while the file is the same")
			}
			good.write(t, dir)
			clk.t = clk.t.Add(11 * time.Second)
			if err := certs.State(t.Context()).Failure; err != nil {
				t.Errorf("after a good one: %v", err)
			}
			if err := os.Rename(filepath.Join(dir, "tls.key"), filepath.Join(dir, "away")); err != nil {
				t.Fatal(err)
			}
			clk.t = clk.t.Add(11 * time.Second)
			if certs.State(t.Context()).Failure == nil {
				t.Error("no failure without a key")
			}
			if err := os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "tls.key")); err != nil {
				t.Fatal(err)
			}
			clk.t = clk.t.Add(11 * time.Second)
			if err := certs.State(t.Context()).Failure; err != nil {
				t.Errorf("after the key is back: %v", err)
			}
		})
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// authority is a root, or one that parent signed.
func authority(t *testing.T, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, name string) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-3 * time.Hour), NotAfter: time.Now().Add(3 * time.Hour),
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}
