package pki_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/pki"
)

const zone = "lanyard.localhost"

func leafNames() []string {
	return []string{"*.vault." + zone, "graph." + zone, "login." + zone, "management." + zone}
}

func newCA(t testing.TB, zones ...string) *pki.CA {
	t.Helper()
	if len(zones) == 0 {
		zones = []string{zone}
	}
	ca, err := pki.NewCA(zones, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pool(t testing.TB, bundle []byte) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(bundle) {
		t.Fatal("the bundle has no certificate")
	}
	return p
}

func write(t testing.TB, dir, name string, b []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCAIsConstrained(t *testing.T) {
	ca := newCA(t)
	c := parse(t, ca.DER())
	if !c.IsCA || !c.MaxPathLenZero || c.MaxPathLen != 0 || c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("IsCA %v, MaxPathLen %d, KeyUsage %b", c.IsCA, c.MaxPathLen, c.KeyUsage)
	}
	if len(c.SubjectKeyId) == 0 || !bytes.Equal(c.SubjectKeyId, c.AuthorityKeyId) {
		t.Errorf("SubjectKeyId %x, AuthorityKeyId %x", c.SubjectKeyId, c.AuthorityKeyId)
	}
	if !c.PermittedDNSDomainsCritical || !slices.Equal(c.PermittedDNSDomains, []string{zone}) || len(c.PermittedIPRanges) != 2 {
		t.Errorf("constraints: critical %v, DNS %v, IP %v", c.PermittedDNSDomainsCritical, c.PermittedDNSDomains, c.PermittedIPRanges)
	}
}

func TestCovers(t *testing.T) {
	ca := newCA(t, zone, "login.microsoftonline.com")
	for name, want := range map[string]bool{
		zone: true, "login." + zone: true, "*.vault." + zone: true, "LOGIN." + zone: true, "login.microsoftonline.com": true,
		"127.0.0.1": true, "::1": true, "127.9.9.9": true,
		"evil" + zone: false, "localhost": false, "*.localhost": false, "microsoftonline.com": false, "10.0.0.1": false, "": false,
	} {
		if got := ca.Covers([]string{name}); got != want {
			t.Errorf("Covers(%q) = %v, want %v", name, got, want)
		}
	}
	if ca.Covers([]string{"login." + zone, "example.org"}) {
		t.Error("Covers holds for a list with a foreign name")
	}
}

func TestLeafVerifies(t *testing.T) {
	ca := newCA(t)
	leaf, err := ca.Leaf(append(leafNames(), "127.0.0.1"), time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"login." + zone, "kv1.vault." + zone, "127.0.0.1"} {
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: pool(t, ca.PEM()), DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d := leaf.Leaf.NotAfter.Sub(leaf.Leaf.NotBefore); d > 3*time.Hour {
		t.Errorf("the certificate is valid for %v", d)
	}
}

// Who trusts a private authority does so for one connection, to any name.
func TestPrivateCASignsForAnyName(t *testing.T) {
	made, err := pki.NewPrivateCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.ParseCA(made.DER(), made.PKCS8())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Leaf([]string{"172.18.0.1", "hooks.example.org"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"172.18.0.1", "hooks.example.org"} {
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: pool(t, ca.PEM()), DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeafRefuses(t *testing.T) {
	ca := newCA(t)
	now := time.Now()
	for name, f := range map[string]func() (*tls.Certificate, error){
		"foreign-name":    func() (*tls.Certificate, error) { return ca.Leaf([]string{"example.org"}, now, time.Hour) },
		"no-names":        func() (*tls.Certificate, error) { return ca.Leaf(nil, now, time.Hour) },
		"too-long":        func() (*tls.Certificate, error) { return ca.Leaf(leafNames(), now, 91*24*time.Hour) },
		"no-lifetime":     func() (*tls.Certificate, error) { return ca.Leaf(leafNames(), now, 0) },
		"ended-authority": func() (*tls.Certificate, error) { return ca.Leaf(leafNames(), now.AddDate(11, 0, 0), time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := f(); err == nil {
				t.Error("Leaf made a certificate")
			}
		})
	}
}

func TestLeafEndsWithTheAuthority(t *testing.T) {
	ca := newCA(t)
	leaf, err := ca.Leaf(leafNames(), ca.NotAfter().Add(-time.Hour), 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !leaf.Leaf.NotAfter.Equal(ca.NotAfter()) {
		t.Errorf("NotAfter = %v, the authority's %v", leaf.Leaf.NotAfter, ca.NotAfter())
	}
}

func TestParseCA(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	again, err := pki.ParseCA(ca.DER(), ca.PKCS8())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := again.Leaf(leafNames(), time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: pool(t, ca.PEM()), DNSName: "login." + zone}); err != nil {
		t.Error(err)
	}
	for name, in := range map[string][2][]byte{
		"other-key":     {ca.DER(), other.PKCS8()},
		"no-key":        {ca.DER(), nil},
		"no-cert":       {nil, ca.PKCS8()},
		"not-authority": {leaf.Certificate[0], ca.PKCS8()},
	} {
		if _, err := pki.ParseCA(in[0], in[1]); err == nil {
			t.Errorf("%s: ParseCA accepted it", name)
		}
	}
}

func FuzzParseCA(f *testing.F) {
	ca := newCA(f)
	f.Add(ca.DER(), ca.PKCS8())
	f.Add([]byte("x"), []byte("y"))
	f.Fuzz(func(t *testing.T, der, pkcs8 []byte) {
		got, err := pki.ParseCA(der, pkcs8)
		if err == nil && !bytes.Equal(got.DER(), der) {
			t.Error("the certificate changed")
		}
	})
}

// TestOutsidersAccept runs the other TLS stacks that clients use, each as
// strict as it can be, against a listener of ours.
func TestOutsidersAccept(t *testing.T) {
	ca := newCA(t)
	certs, err := pki.NewCertificates(pki.Config{CA: ca, Names: leafNames(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	srv.TLS, srv.EnableHTTP2 = certs.TLS(), true
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	srv.StartTLS()
	defer srv.Close()

	dir := t.TempDir()
	bundle := write(t, dir, "ca.pem", pki.Bundle(ca, nil), 0o644)
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	run := func(t *testing.T, program string, args ...string) {
		t.Helper()
		path, err := exec.LookPath(program)
		if err != nil {
			t.Skipf("NOT TESTED: there is no %s on this machine", program)
		}
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+bundle)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", program, err, out)
		}
	}

	t.Run("go", func(t *testing.T) {
		for _, protocol := range []string{"h2", "http/1.1", "http/1.0"} {
			conn, err := tls.Dial("tcp", srv.Listener.Addr().String(), &tls.Config{
				RootCAs: pool(t, ca.PEM()), ServerName: "kv1.vault." + zone, NextProtos: []string{protocol},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if p := conn.ConnectionState().NegotiatedProtocol; p != protocol {
				t.Errorf("negotiated %q, want %q", p, protocol)
			}
		}
	})
	t.Run("openssl", func(t *testing.T) {
		leaf, err := certs.Get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		file := write(t, dir, "leaf.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}), 0o644)
		run(t, "openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "kv1.vault."+zone, "-CAfile", bundle, file)
	})
	t.Run("python", func(t *testing.T) {
		run(t, "python3", "-c", `
import socket, ssl, sys
ctx = ssl.create_default_context(cafile=sys.argv[1])
ctx.verify_flags |= ssl.VERIFY_X509_STRICT
for name in sys.argv[3:]:
    with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as s, ctx.wrap_socket(s, server_hostname=name): pass
`, bundle, port, "kv1.vault."+zone, "login."+zone)
	})
	t.Run("node", func(t *testing.T) {
		run(t, "node", "-e", `
const [port, ...names] = process.argv.slice(1);
for (const servername of names) {
  const s = require("tls").connect({host: "127.0.0.1", port, servername}, () => s.end());
  s.on("error", e => { console.error(e); process.exit(1); });
}`, port, "kv1.vault."+zone, "login."+zone)
	})
}

// TestOutsidersRefuseForeignNames holds an authority to its constraints: a
// certificate for another name, signed with its very key, must not pass.
func TestOutsidersRefuseForeignNames(t *testing.T) {
	ca := newCA(t)
	leaf := forge(t, ca, "example.org")
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool(t, ca.PEM()), DNSName: "example.org"}); err == nil {
		t.Error("Go accepts it")
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("NOT TESTED: there is no openssl on this machine")
	}
	dir := t.TempDir()
	file := write(t, dir, "leaf.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), 0o644)
	out, err := exec.CommandContext(t.Context(), openssl, "verify", "-CAfile", write(t, dir, "ca.pem", ca.PEM(), 0o644), file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "permitted subtree violation") {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

func forge(t *testing.T, ca *pki.CA, name string) *x509.Certificate {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(ca.PKCS8())
	if err != nil {
		t.Fatal(err)
	}
	parent := parse(t, ca.DER())
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		DNSNames: []string{name}, NotBefore: parent.NotBefore, NotAfter: parent.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, parent, parent.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, der)
}

func TestBundles(t *testing.T) {
	ca, previous, foreign := newCA(t), newCA(t), newCA(t, "example.org")
	own := pki.Bundle(ca, [][]byte{previous.DER()})
	if n := bytes.Count(own, []byte("BEGIN CERTIFICATE")); n != 2 {
		t.Errorf("Bundle has %d certificates, want 2", n)
	}

	roots := bytes.Join([][]byte{[]byte("# a comment\n"), foreign.PEM(), ca.PEM()}, nil)
	combined, err := pki.CombinedBundle(own, write(t, t.TempDir(), "roots.pem", roots, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	if want := string(foreign.PEM()) + string(ca.PEM()) + string(previous.PEM()); string(combined) != want {
		t.Errorf("CombinedBundle = %s\nwant %s", combined, want)
	}
	if _, err := pki.CombinedBundle(own, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("CombinedBundle ignores a missing SSL_CERT_FILE")
	}
	system, err := pki.CombinedBundle(own, "")
	if err != nil || !bytes.HasSuffix(system, own) {
		t.Errorf("CombinedBundle of the system: %v, %d bytes", err, len(system))
	}
}
