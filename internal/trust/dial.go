package trust

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"

	"github.com/lanyard-io/lanyard/internal/egress"
)

type scoper func(netip.Addr) egress.Scope

// guard keeps the address rules during one fetch. It judges the address that is
// dialled, after name resolution, so a name that resolves differently the
// second time gains nothing. Once a connection went to a public address, none
// may go to a private one: a public issuer cannot steer us inside.
type guard struct {
	issuer string // host
	scope  scoper

	// guarded by mu
	mu      sync.Mutex
	public  bool            // a connection went to a public address
	proxies map[string]bool // host:port; chosen by the operator, so free of the rules
}

func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	g.mu.Lock()
	free := g.proxies[address]
	g.mu.Unlock()
	if free {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	conn, err := (&net.Dialer{ControlContext: g.control}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err == nil && g.scope(remote.Addr()) == egress.Public {
		g.mu.Lock()
		g.public = true
		g.mu.Unlock()
	}
	return conn, nil
}

func (g *guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	remote, err := netip.ParseAddrPort(address)
	if err != nil {
		return fail(outcomeAddress, fmt.Errorf("reading address: %w", err))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.scope(remote.Addr()); s == egress.Forbidden || s == egress.Private && g.public {
		return fail(outcomeAddress, fmt.Errorf("address %s is not allowed", remote.Addr()))
	}
	return nil
}

// proxy finds the proxy and remembers it. What a proxy resolves is not ours to
// see; a literal address is, and is held to the rules as far as it tells.
func (g *guard) proxy(find func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := find(r)
		if err != nil || u == nil {
			return nil, err
		}
		if a, err := netip.ParseAddr(r.URL.Hostname()); err == nil {
			s := g.scope(a)
			if s == egress.Forbidden || s == egress.Private && !strings.EqualFold(r.URL.Hostname(), g.issuer) {
				return nil, fail(outcomeAddress, fmt.Errorf("address %s is not allowed", a))
			}
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.proxies == nil {
			g.proxies = make(map[string]bool)
		}
		g.proxies[proxyAddress(u)] = true
		return u, nil
	}
}

// proxyAddress is what http.Transport dials for a proxy.
func proxyAddress(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
