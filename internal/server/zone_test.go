package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/proxy"
)

// blobs is a surface whose things have hosts of their own.
var blobs = names.Row{
	Surface: "blob", Own: names.Places{Zones: []string{"blob"}}, Azure: names.Places{Zones: []string{"blob.core.windows.net"}},
	Audiences: []string{"https://storage.azure.com"},
}

// A new zone is one row: the edge, the certificate, what its CA may sign for, the
// proxy, names mode, aliases, hosts files, the cluster's DNS and audiences follow.
func TestANewZoneIsOneRow(t *testing.T) {
	t.Parallel()
	n, err := names.New(names.Config{
		Address: "lanyard.test:8443", Azure: true, Aliases: []string{"blob=blobs.example.org"}, Table: append(names.Table(), blobs),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := zoneClient(t, n)
	hosts := n.HostNames(map[names.Surface][]string{"blob": {"Acct"}}, nil)
	for _, u := range []string{"https://acct.blob.lanyard.test:8443", "https://acct.blob.core.windows.net", "https://acct.blobs.example.org:8443"} {
		res, err := c.Get(u)
		if err != nil {
			t.Errorf("%s: %v", u, err)
			continue
		}
		res.Body.Close()
		if got := res.Header.Get("Found"); res.StatusCode != 200 || got != "acct at "+u {
			t.Errorf("%s: status %d, found %q", u, res.StatusCode, got)
		}
		if host := res.Request.URL.Hostname(); !slices.Contains(hosts, host) {
			t.Errorf("a hosts file lacks %s", host)
		}
	}
	for _, audience := range []string{"https://blob.lanyard.test:8443", "https://storage.azure.com/", "https://blob.core.windows.net", "https://blobs.example.org:8443"} {
		if got := n.Audience(audience); got != "blob" {
			t.Errorf("Audience(%q) = %v", audience, got)
		}
	}
	if !slices.Contains(n.Zones(), names.Zone{Surface: "blob", Label: "blob"}) {
		t.Error("the cluster's DNS does not hear of the zone")
	}
	if !slices.Contains(n.Needed(), "*.blob.lanyard.test") {
		t.Error("an operator's certificate need not be for the zone")
	}
	if _, err := c.Get("https://acct.queue.lanyard.test:8443"); err == nil {
		t.Error("a zone without a row is served")
	}
}

// zoneClient asks an edge that has the surface blob alone, through the proxy, and
// trusts the CA alone.
func zoneClient(t *testing.T, n *names.Names) *http.Client {
	t.Helper()
	silent := slog.New(slog.DiscardHandler)
	edge, err := httpx.New(httpx.Config{Names: n, Log: silent, Now: time.Now, Surfaces: map[names.Surface]httpx.Surface{
		"blob": {
			Name: "blob", WriteError: func(w http.ResponseWriter, _ *http.Request, err error) { http.Error(w, err.Error(), 500) },
			Routes: []httpx.Route{{
				Pattern: "GET /", Op: "account.get", MaxBody: httpx.NoBody, Timeout: time.Second,
				Handle: func(w http.ResponseWriter, r *http.Request) error {
					family, account := httpx.Target(r)
					w.Header().Set("Found", fmt.Sprintf("%s at %s", account, family.ThingURL("blob", account)))
					return nil
				},
			}},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.NewCA(n.Domains(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := pki.NewCertificates(pki.Config{CA: ca, Names: n.Certificate(), Log: silent, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(edge)
	srv.TLS = certificates.TLS()
	srv.StartTLS()
	t.Cleanup(srv.Close)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{Names: n, Log: silent, Now: time.Now, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", srv.Listener.Addr().String())
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx, ln) }()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	tr := &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: ln.Addr().String()}), TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			t.Errorf("the proxy: %v", err)
		}
	})
	return &http.Client{Transport: tr}
}
