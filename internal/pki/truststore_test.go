package pki_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/pki"
)

func TestTruststoreIsReadByOthers(t *testing.T) {
	one, two := newCA(t), newCA(t, "example.org")
	bundle := bytes.Join([][]byte{[]byte("# a comment\n"), one.PEM(), two.PEM(), one.PEM()}, nil)
	store, err := pki.Truststore(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := pki.Truststore(bundle); err != nil || !bytes.Equal(again, store) {
		t.Errorf("a second one differs, %v", err)
	}
	file := write(t, t.TempDir(), "truststore.p12", store, 0o644)
	run := func(t *testing.T, program string, args ...string) string {
		t.Helper()
		path, err := exec.LookPath(program)
		if err != nil {
			t.Skipf("NOT TESTED: there is no %s on this machine", program)
		}
		out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
		return string(out)
	}
	t.Run("openssl", func(t *testing.T) {
		out := run(t, "openssl", "pkcs12", "-in", file, "-nokeys", "-nomacver", "-passin", "pass:")
		for _, ca := range []*pki.CA{one, two} {
			if !strings.Contains(out, strings.TrimSpace(string(ca.PEM()))) {
				t.Errorf("a certificate is missing in\n%s", out)
			}
		}
		if n := strings.Count(out, "BEGIN CERTIFICATE"); n != 2 {
			t.Errorf("%d certificates, want 2", n)
		}
	})
	t.Run("keytool", func(t *testing.T) {
		// Without the attribute of trust, Java would list none.
		if out := run(t, "keytool", "-list", "-keystore", file, "-storepass", ""); strings.Count(out, "trustedCertEntry") != 2 {
			t.Errorf("want two trusted certificates in\n%s", out)
		}
	})
}

func TestTruststoreOfNothing(t *testing.T) {
	for _, bundle := range []string{"", "no PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if b, err := pki.Truststore([]byte(bundle)); err == nil {
			t.Errorf("Truststore(%q) = %d bytes", bundle, len(b))
		}
	}
}
