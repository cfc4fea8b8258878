package egress

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Scope says how far an address reaches.
type Scope int

// The scopes, each narrower than the one before.
const (
	Public    Scope = iota
	Private         // a network's own, loopback included
	Forbidden       // never: a cloud's metadata service is among these
)

// ranges lists what netip's own predicates do not know; the first match decides.
// https://www.iana.org/assignments/iana-ipv4-special-registry
var ranges = []struct {
	prefix netip.Prefix
	scope  Scope
}{
	{netip.MustParsePrefix("168.63.129.16/32"), Forbidden},       // Azure's host agent
	{netip.MustParsePrefix("100.100.100.200/32"), Forbidden},     // Alibaba's metadata service
	{netip.MustParsePrefix("192.0.0.192/32"), Forbidden},         // Oracle's, once
	{netip.MustParsePrefix("fd00:ec2::/32"), Forbidden},          // Amazon's
	{netip.MustParsePrefix("fd20:ce::254/128"), Forbidden},       // Google's
	{netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), Forbidden}, // Oracle's
	{netip.MustParsePrefix("fd00:42::42/128"), Forbidden},        // Scaleway's
	{netip.MustParsePrefix("0.0.0.0/8"), Forbidden},
	{netip.MustParsePrefix("240.0.0.0/4"), Forbidden},
	{netip.MustParsePrefix("100.64.0.0/10"), Private}, // carrier-grade NAT
	{netip.MustParsePrefix("192.0.0.0/24"), Private},
	{netip.MustParsePrefix("198.18.0.0/15"), Private},
	{netip.MustParsePrefix("fec0::/10"), Private},   // site-local, as before ULA
	{netip.MustParsePrefix("2001::/32"), Forbidden}, // Teredo
}

// carriers hold an IPv4 address, which says where a packet ends, from a byte on. In
// a network's own NAT64 prefix its place is the network's choice.
// https://www.rfc-editor.org/rfc/rfc6052#section-2
var carriers = []struct {
	prefix netip.Prefix
	least  Scope
	from   []int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), Public, []int{12}},             // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/48"), Private, []int{6, 7, 9, 12}}, // a network's own NAT64
	{netip.MustParsePrefix("2002::/16"), Public, []int{2}},                 // 6to4
	{netip.MustParsePrefix("::ffff:0:0:0/96"), Private, []int{12}},         // stateless translation
	{netip.MustParsePrefix("::/96"), Private, []int{12}},                   // IPv4-compatible
}

// ScopeOf says how far an address reaches, seen through what carries it.
func ScopeOf(a netip.Addr) Scope {
	a = a.Unmap().WithZone("")
	if a == netip.IPv6Loopback() {
		return Private
	}
	for _, c := range carriers {
		if !c.prefix.Contains(a) {
			continue
		}
		b, scope := a.As16(), c.least
		for _, from := range c.from {
			scope = max(scope, plain(embedded(b, from), len(c.from) > 1))
		}
		return scope
	}
	return plain(a, false)
}

// embedded is the IPv4 address from a byte on; byte 8 is never part of it. https://www.rfc-editor.org/rfc/rfc6052#section-2.2
func embedded(b [16]byte, from int) netip.Addr {
	var v4 [4]byte
	for i := range v4 {
		if from == 8 {
			from++
		}
		v4[i] = b[from]
		from++
	}
	return netip.AddrFrom4(v4)
}

// plain is ScopeOf for what carries nothing. A guess, at where it may be, is not
// held against the address unless it is a place that someone would go to.
func plain(a netip.Addr, guess bool) Scope {
	if !a.IsValid() || a.IsLinkLocalUnicast() {
		return Forbidden
	}
	if (a.IsUnspecified() || a.IsMulticast()) && !guess {
		return Forbidden
	}
	for _, r := range ranges {
		if r.prefix.Contains(a) && (!guess || r.prefix.IsSingleIP()) {
			return r.scope
		}
	}
	if a.IsPrivate() || a.IsLoopback() {
		return Private
	}
	return Public
}

// AddressError is a connection that was not tried.
type AddressError struct{ Address netip.Addr }

func (e *AddressError) Error() string { return "the address " + e.Address.String() + " is not allowed" }

// Dialer connects to all but forbidden addresses. The address that is dialled is
// judged, after name resolution.
func Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second, ControlContext: control}
}

func control(_ context.Context, _, address string, _ syscall.RawConn) error {
	remote, err := netip.ParseAddrPort(address)
	if err != nil || ScopeOf(remote.Addr()) == Forbidden {
		return &AddressError{remote.Addr()}
	}
	return nil
}
