package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/server"
)

// plain is a GET without TLS.
func plain(t *testing.T, ctx context.Context, u string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", u, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestNames(t *testing.T) {
	t.Parallel()
	c := local(t.TempDir())
	c.AzureNames, c.ADFS, c.Debug = true, true, "127.0.0.1:0"
	c.Aliases = []string{"login=sts.example.org", "vault=vaults.example.org"}
	r := start(t, c)
	vault := r.vault("kv-dev") // through Microsoft's names
	set(t, vault, "name", "value")
	if got := get(t, vault, "name"); got != "value" {
		t.Errorf("got %q", got)
	}

	issuer := func(login string) string {
		t.Helper()
		status, _, body := r.fetch(login+"/"+r.admin.TenantID+"/v2.0/.well-known/openid-configuration", "")
		if status != 200 {
			t.Fatalf("%s: status %d: %s", login, status, body)
		}
		return body
	}
	for login, want := range map[string]string{
		"https://login.microsoftonline.com": "https://login.microsoftonline.com/" + r.admin.TenantID,
		"https://login.lanyard.localhost":   "https://login.lanyard.localhost/" + r.admin.TenantID,
		"https://sts.example.org":           r.admin.TenantID,
	} {
		if got := issuer(login); !strings.Contains(got, want) {
			t.Errorf("%s: the discovery document does not name %s: %s", login, want, got)
		}
	}
	for host, want := range map[string]string{
		"kv-dev.vault.lanyard.localhost": `authorization="https://login.lanyard.localhost/adfs"`,
		"kv-dev.vault.azure.net":         `authorization="https://login.microsoftonline.com/`,
	} {
		status, header, _ := r.fetch("https://"+host+"/secrets/name?api-version=7.4", "")
		if got := header.Get("WWW-Authenticate"); status != 401 || !strings.Contains(got, want) {
			t.Errorf("%s: status %d, challenge %q, want %s", host, status, got, want)
		}
	}
	if status, _, _ := r.fetch("https://kv-dev.vaults.example.org/secrets/name?api-version=7.4", ""); status != 401 {
		t.Errorf("the vault alias: status %d", status)
	}

	t.Run("proxy", func(t *testing.T) {
		through := &http.Client{Transport: &http.Transport{
			Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: r.State().Proxy}),
			TLSClientConfig:   &tls.Config{RootCAs: roots(t, c.DataDir), MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
		}}
		for _, host := range []string{"login.lanyard.localhost", "login.microsoftonline.com", "kv-dev.vault.azure.net", "sts.example.org"} {
			res, err := through.Get("https://" + host + "/")
			if err != nil {
				t.Errorf("%s: %v", host, err)
				continue
			}
			res.Body.Close()
		}
		if res, err := through.Get("https://example.com/"); err == nil {
			res.Body.Close()
			t.Error("the proxy goes to foreign hosts")
		}
	})
	t.Run("debug", func(t *testing.T) {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/"} {
			if status, body := plain(t, t.Context(), "http://"+r.State().Debug+path); status != 200 {
				t.Errorf("%s: status %d: %.200s", path, status, body)
			}
		}
	})
}

// A region in front of a login host leads to the same authority, over TLS and by
// the proxy, and what is issued there is the family's.
func TestRegions(t *testing.T) {
	t.Parallel()
	c := local(t.TempDir())
	c.AzureNames, c.Aliases = true, []string{"login=sts.example.org"}
	r := start(t, c)
	through := &http.Client{Transport: &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: r.State().Proxy}),
		TLSClientConfig:   &tls.Config{RootCAs: roots(t, c.DataDir), MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}}
	for host, login := range map[string]string{
		"westeurope.login.lanyard.localhost":      "login.lanyard.localhost",
		"westeurope.sts.example.org":              "sts.example.org",
		"westeurope.login.microsoft.com":          "login.microsoftonline.com",
		"eastus.r.login.microsoftonline.com":      "login.microsoftonline.com",
		"any-word-at-all.login.lanyard.localhost": "login.lanyard.localhost",
	} {
		res, err := through.Get("https://" + host + "/" + r.admin.TenantID + "/v2.0/.well-known/openid-configuration")
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if want := `"issuer":"https://` + login + "/" + r.admin.TenantID + `/v2.0"`; err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, no %s in %s", host, err, want, b)
		}
	}
	if res, err := through.Get("https://westeurope.login.microsoftonline.com/"); err == nil {
		res.Body.Close()
		t.Error("a host that no client makes is served")
	}
}

// The CAs that were made before there were regional names may sign for those:
// nobody who trusts one has to read it again.
func TestRegionsNeedNoNewCA(t *testing.T) {
	for name, c := range map[string]struct {
		names names.Config
		old   []string // the CA's zones
	}{
		"own": {names.Config{}, []string{
			"vault.lanyard.localhost", "graph.lanyard.localhost", "login.lanyard.localhost", "management.lanyard.localhost",
		}},
		"discovery": {names.Config{Discovery: true}, []string{
			"vault.lanyard.localhost", "graph.lanyard.localhost", "login.lanyard.localhost", "login.microsoftonline.com", "management.lanyard.localhost",
		}},
		"azure": {names.Config{Azure: true, Aliases: []string{"login=sts.example.org"}}, []string{
			"vault.azure.net", "vault.lanyard.localhost", "graph.lanyard.localhost", "graph.microsoft.com", "login.lanyard.localhost",
			"login.microsoft.com", "login.microsoftonline.com", "login.windows.net", "management.azure.com",
			"management.lanyard.localhost", "sts.example.org", "sts.windows.net",
		}},
	} {
		ca, err := pki.NewCA(c.old, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		n, err := names.New(c.names)
		if err != nil {
			t.Fatal(err)
		}
		if !ca.Covers(n.Certificate()) {
			t.Errorf("%s: the old CA does not cover %v", name, n.Certificate())
		}
	}
}

// A store whose server learns new names gets a new CA, and clients that read the
// file again still trust the old one.
func TestNewNamesKeepTheOldCA(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, local(dir)).stop()
	old := strings.TrimSpace(string(read(t, dir, "ca.pem")))
	c := local(dir)
	c.AzureNames = true
	r := start(t, c)
	bundle := string(read(t, dir, "ca.pem"))
	if !strings.Contains(bundle, old) || strings.Count(bundle, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("want the new CA and the old one:\n%s", bundle)
	}
	if status, _, _ := r.fetch("https://login.microsoftonline.com/common/discovery/instance?api-version=1.1&authorization_endpoint=https://login.microsoftonline.com/common/oauth2/v2.0/authorize", ""); status != 200 {
		t.Errorf("status %d", status)
	}
}

func TestOperatorsCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := local(dir)
	names := ownNames
	c.TLSCert, c.TLSKey = operatorFiles(t, names...)
	clock := newClock()
	c.Now = clock.now
	r := start(t, c)
	for _, path := range []string{server.Dir(dir).CA(), server.Dir(dir).Bundle(), server.Dir(dir).Truststore()} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was made without need", path)
		}
	}
	if r.State().OwnCA {
		t.Error("the state names a CA of ours")
	}
	served := func() string {
		t.Helper()
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(read(t, c.TLSCert))
		conn, err := tls.Dial("tcp", r.State().Listen, &tls.Config{RootCAs: pool, ServerName: names[0], MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := served()
	cert, key := operatorFiles(t, names...)
	write(t, c.TLSKey, string(read(t, key)), 0o600)
	write(t, c.TLSCert, string(read(t, cert)), 0o644)
	clock.advance(time.Minute)
	if second := served(); second == first {
		t.Error("the renewed certificate is not served")
	}
}
