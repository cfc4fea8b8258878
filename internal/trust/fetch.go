package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/strictjson"
)

// maxRedirects bounds the redirects of one document, all to the same host.
const maxRedirects = 2

// fetch reads the issuer's discovery document, then its keys.
// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
func (v *Verifier) fetch(ctx context.Context, src Source) (*keySet, error) {
	issuer, err := parseIssuer(src.Issuer)
	if err != nil {
		return nil, fail(outcomeIssuer, err)
	}
	client, err := v.client(issuer, src.Roots)
	if err != nil {
		return nil, err
	}
	// No connection may serve another issuer, whose address rules may differ.
	defer client.CloseIdleConnections()

	body, err := v.get(ctx, client, strings.TrimSuffix(src.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, fmt.Errorf("fetching discovery document: %w", err)
	}
	keysURL, err := readDiscovery(body, src.Issuer)
	if err != nil {
		return nil, err
	}
	if body, err = v.get(ctx, client, keysURL); err != nil {
		return nil, fmt.Errorf("fetching keys: %w", err)
	}
	keys, err := readKeys(body, v.c.MaxKeys)
	if err != nil {
		return nil, fail(outcomeInvalid, err)
	}
	return keys, nil
}

// parseIssuer accepts https URLs without user, query and fragment.
// https://openid.net/specs/openid-connect-core-1_0.html#IDToken
func parseIssuer(issuer string) (*url.URL, error) {
	u, err := parseHTTPS(issuer)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(issuer, "?#") {
		return nil, errors.New("URL with a query or fragment")
	}
	return u, nil
}

func parseHTTPS(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("parsing URL: %w", err)
	case u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("not an https URL")
	case u.User != nil:
		return nil, errors.New("URL with a user")
	}
	return u, nil
}

// readDiscovery checks that the document is the issuer's own and gives the
// address of its keys.
func readDiscovery(document []byte, issuer string) (keysURL string, err error) {
	object, err := strictjson.Object(string(document), maxDepth)
	if err != nil {
		return "", fail(outcomeInvalid, fmt.Errorf("reading discovery document: %w", err))
	}
	m := members{of: object}
	named, keysURL := m.text("issuer"), m.text("jwks_uri")
	if m.err != nil {
		return "", fail(outcomeInvalid, fmt.Errorf("reading discovery document: %w", m.err))
	}
	if named != issuer {
		return "", fail(outcomeMismatch, fmt.Errorf("discovery document of %s is for issuer %s", quote(issuer), quote(named)))
	}
	if _, err := parseHTTPS(keysURL); err != nil {
		return "", fail(outcomeInvalid, fmt.Errorf("jwks_uri %s: %w", quote(keysURL), err))
	}
	return keysURL, nil
}

// client is for one fetch.
func (v *Verifier) client(issuer *url.URL, roots []byte) (*http.Client, error) {
	client := &http.Client{Transport: v.c.Transport, CheckRedirect: checkRedirect}
	if v.c.Transport != nil {
		return client, nil
	}
	var pool *x509.CertPool
	if len(roots) > 0 {
		pool = x509.NewCertPool()
		if !pool.AppendCertsFromPEM(roots) {
			return nil, fail(outcomeTLS, errors.New("the issuer's registered CA holds no certificate"))
		}
	} else if v.c.Roots != nil {
		pool = v.c.Roots()
	}
	g := &guard{issuer: issuer.Hostname(), scope: v.scope}
	transport := &http.Transport{
		DialContext:            g.dial,
		TLSClientConfig:        &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DisableCompression:     true, // a small body could unpack to a large one
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        time.Second,
	}
	if v.c.Proxy != nil {
		transport.Proxy = g.proxy(v.c.Proxy)
	}
	client.Transport = transport
	return client, nil
}

// checkRedirect follows few redirects, and none to another host or scheme.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fail(outcomeRedirect, fmt.Errorf("more than %d redirects", maxRedirects))
	}
	if req.URL.Scheme != "https" || hostPort(req.URL) != hostPort(via[0].URL) || req.URL.User != nil {
		return fail(outcomeRedirect, fmt.Errorf("redirect to %s", quote(req.URL.Host)))
	}
	return nil
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func (v *Verifier) get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fail(outcomeInvalid, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "lanyard")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fail(outcomeStatus, fmt.Errorf("answered with status %d", resp.StatusCode))
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, fail(outcomeInvalid, fmt.Errorf("answered in content encoding %s", quote(enc)))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, v.c.MaxDocument+1))
	if err == nil {
		// A server that is told of our giving up may still end its answer cleanly.
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("reading answer: %w", err)
	}
	if int64(len(body)) > v.c.MaxDocument {
		return nil, fail(outcomeTooLarge, fmt.Errorf("answer is longer than %d bytes", v.c.MaxDocument))
	}
	return body, nil
}
