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
	near key // an IPv4 address, or a /64, or a name
	wide key // the /48 around it; zero for the others
}

type key struct {
	prefix netip.Prefix
	name   string
}

// Named is a source that is known otherwise than by its address. The name must
// not be one that a sender can choose.
func Named(name string) Source { return Source{near: key{name: name}} }

// SourceOf reads an address without a port.
func SourceOf(remote string) Source {
	a, err := netip.ParseAddr(remote)
	if err != nil {
		return Source{}
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return Source{near: key{prefix: netip.PrefixFrom(a, a.BitLen())}}
	}
	near, _ := a.Prefix(nearBits) // of an IPv6 address it cannot fail
	wide, _ := a.Prefix(wideBits)
	return Source{near: key{prefix: near}, wide: key{prefix: wide}}
}

// SameSite says whether both are of one sender as far as an address tells: the
// same IPv4 address, or the same /48.
func (s Source) SameSite(o Source) bool {
	if s.wide != (key{}) {
		return s.wide == o.wide
	}
	return s == o
}

// String is how records name the source: an IPv4 address or a prefix.
func (s Source) String() string {
	switch p := s.near.prefix; {
	case s.near.name != "":
		return s.near.name
	case !p.IsValid():
		return "unknown"
	case p.Addr().Is4():
		return p.Addr().String()
	default:
		return p.String()
	}
}
