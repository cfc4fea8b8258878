package trust

import (
	"net/netip"

	"github.com/lanyard-io/lanyard/internal/egress"
)

// SetScope replaces the address rules' view of an address, because a test has
// only loopback: "public", "private", "forbidden", or "" for the real one.
func (v *Verifier) SetScope(of func(netip.Addr) string) {
	v.scope = func(a netip.Addr) egress.Scope {
		for s, name := range scopeNames {
			if of(a) == name {
				return s
			}
		}
		return egress.ScopeOf(a)
	}
}

var scopeNames = map[egress.Scope]string{egress.Public: "public", egress.Private: "private", egress.Forbidden: "forbidden"}

// ReadDiscovery lets a fuzz target reach the parser of discovery documents.
var ReadDiscovery = readDiscovery

// IssuersCached counts the issuers in the cache.
func (v *Verifier) IssuersCached() int { return v.issuers.order.Len() }
