package access

import (
	"net/netip"

	"github.com/lanyard-io/lanyard/internal/model"
)

// NetworkRefusal is why a vault does not admit an address, in Key Vault's words.
type NetworkRefusal string

// The answers of a vault's network rules.
const (
	Admitted     NetworkRefusal = ""
	ByFirewall   NetworkRefusal = "ForbiddenByFirewall"   // no rule admits the address
	ByConnection NetworkRefusal = "ForbiddenByConnection" // the vault is closed to all
)

// byNetwork asks a vault's network rules about the peer's address. An address
// that cannot be read is admitted by no rule.
// https://learn.microsoft.com/azure/key-vault/general/network-security
func byNetwork(vault *model.Vault, remote string) NetworkRefusal {
	switch {
	case vault.Closed:
		return ByConnection
	case vault.Network == nil || !vault.Network.Deny:
		return Admitted
	}
	address, err := netip.ParseAddr(remote)
	if err != nil {
		return ByFirewall
	}
	address = address.Unmap().WithZone("")
	for _, s := range vault.Network.Addresses {
		if p, err := netip.ParsePrefix(s); err == nil && p.Contains(address) {
			return Admitted
		}
	}
	return ByFirewall
}
