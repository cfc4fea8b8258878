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
)

// scope says how far an address reaches.
type scope int

const (
	public    scope = iota
	private         // only for issuers that are at private addresses themselves
	forbidden       // never: a cloud's metadata service is among these
)

type scoper func(netip.Addr) scope

// ranges lists what netip's own predicates do not know; the first match decides.
// https://www.iana.org/assignments/iana-ipv4-special-registry
var ranges = []struct {
	prefix netip.Prefix
	scope  scope
}{
	{netip.MustParsePrefix("168.63.129.16/32"), forbidden},   // Azure's host agent
	{netip.MustParsePrefix("100.100.100.200/32"), forbidden}, // Alibaba's metadata service
	{netip.MustParsePrefix("fd00:ec2::/32"), forbidden},      // Amazon's
	{netip.MustParsePrefix("0.0.0.0/8"), forbidden},
	{netip.MustParsePrefix("240.0.0.0/4"), forbidden},
	{netip.MustParsePrefix("100.64.0.0/10"), private}, // carrier-grade NAT
	{netip.MustParsePrefix("192.0.0.0/24"), private},
	{netip.MustParsePrefix("198.18.0.0/15"), private},
	{netip.MustParsePrefix("fec0::/10"), private},       // site-local, as before ULA
	{netip.MustParsePrefix("64:ff9b:1::/48"), private},  // a network's own NAT64
	{netip.MustParsePrefix("::/96"), private},           // IPv4-compatible, and ::1
	{netip.MustParsePrefix("2001::/32"), forbidden},     // Teredo
	{netip.MustParsePrefix("::ffff:0:0:0/96"), private}, // stateless translation
}

// carriers hold an IPv4 address, which says where a packet ends, from a byte on.
// https://www.rfc-editor.org/rfc/rfc6052#section-2.1
var carriers = []struct {
	prefix netip.Prefix
	from   int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
}

func scopeOf(a netip.Addr) scope {
	a = a.Unmap().WithZone("")
	for _, c := range carriers {
		if c.prefix.Contains(a) {
			b := a.As16()
			a = netip.AddrFrom4([4]byte(b[c.from:]))
		}
	}
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return forbidden
	}
	for _, r := range ranges {
		if r.prefix.Contains(a) {
			return r.scope
		}
	}
	if a.IsPrivate() || a.IsLoopback() {
		return private
	}
	return public
}

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
	if err == nil && g.scope(remote.Addr()) == public {
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
	if s := g.scope(remote.Addr()); s == forbidden || s == private && g.public {
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
			if s == forbidden || s == private && !strings.EqualFold(r.URL.Hostname(), g.issuer) {
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
