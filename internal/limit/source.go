package limit

import "net/netip"

// Widths of IPv6 prefixes: a site gets a /48 or a /56, and one host of it a /64,
// of which it may use any address. https://www.rfc-editor.org/rfc/rfc6177
const (
	nearBits = 64
	wideBits = 48
)

// Source is where a request comes from, as coarse as one sender can choose. The
// zero Source stands for every address that cannot be read.
type Source struct {
	near netip.Prefix // an IPv4 address, or a /64
	wide netip.Prefix // the /48 around it; not valid for IPv4
}

// SourceOf reads an address without a port.
func SourceOf(remote string) Source {
	a, err := netip.ParseAddr(remote)
	if err != nil {
		return Source{}
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return Source{near: netip.PrefixFrom(a, a.BitLen())}
	}
	near, _ := a.Prefix(nearBits) // of an IPv6 address it cannot fail
	wide, _ := a.Prefix(wideBits)
	return Source{near: near, wide: wide}
}

// String is how records name the source: an IPv4 address or a prefix.
func (s Source) String() string {
	switch {
	case !s.near.IsValid():
		return "unknown"
	case s.near.Addr().Is4():
		return s.near.Addr().String()
	}
	return s.near.String()
}
