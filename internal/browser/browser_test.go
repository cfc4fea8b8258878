package browser_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/browser"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/names"
)

// program plays a browser: it prints its arguments and leaves something in its profile.
const program = `#!/bin/sh
for arg; do echo "$arg"; case "$arg" in --user-data-dir=*) stat -c %a "${arg#*=}"; touch "${arg#*=}/x";; esac; done
`

func newConfig(t *testing.T, address string) (browser.Config, *httptest.Server, *bytes.Buffer) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	n, err := names.New(names.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "chromium")
	if err := os.WriteFile(path, []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	var out bytes.Buffer
	return browser.Config{
		Program: path, Names: n, Listen: s.Listener.Addr().String(), Roots: roots, Out: &out, Err: &out, Say: func(string, ...any) {},
	}, s, &out
}

// The browser is led to the server's names alone, and accepts that one key.
func TestOpen(t *testing.T) {
	c, s, out := newConfig(t, "example.com") // login.example.com is in the certificate: *.example.com
	c.Flags = []string{"--headless"}
	if err := browser.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	args := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, want := range []string{
		"700", "--no-proxy-server", "--headless", "--ignore-certificate-errors-spki-list=" + base64.StdEncoding.EncodeToString(sum[:]),
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if got := args[len(args)-1]; got != "https://login.example.com/" {
		t.Errorf("it opens %s", got)
	}
	rules := ""
	for _, arg := range args {
		if rest, ok := strings.CutPrefix(arg, "--host-resolver-rules="); ok {
			rules = rest
		}
	}
	for rule := range strings.SplitSeq(rules, ",") {
		if host, at, _ := strings.Cut(strings.TrimPrefix(rule, "MAP "), ":443 "); !strings.HasSuffix(host, ".example.com") || at != c.Listen {
			t.Errorf("a rule for %s, to %s", host, at)
		}
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("the profile stays: %v", left)
	}
}

// Whoever listens there with another certificate is not opened.
func TestAnotherServer(t *testing.T) {
	c, _, _ := newConfig(t, "lanyard.example")
	if err := browser.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("a certificate for other names: %v", err)
	}
	c, _, out := newConfig(t, "example.com")
	c.Roots = x509.NewCertPool()
	if err := browser.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "x509") || out.Len() > 0 {
		t.Errorf("a certificate of nobody's: %v", err)
	}
}

func TestRefusedBeforeAnythingRuns(t *testing.T) {
	c, _, out := newConfig(t, "example.com")
	for _, url := range []string{"http://login.example.com/", "login.example.com", "https://", "file:///etc/passwd"} {
		c.URL = url
		if err := browser.Open(t.Context(), c); err == nil || fault.Hint(err) == "" {
			t.Errorf("%s: %v", url, err)
		}
	}
	c.URL, c.Program = "", "/none"
	if err := browser.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no program /none") {
		t.Errorf("a program that is not there: %v", err)
	}
	if out.Len() > 0 {
		t.Errorf("it ran: %s", out)
	}
}
