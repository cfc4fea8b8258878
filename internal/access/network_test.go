package access

import (
	"testing"

	"github.com/lanyard-io/lanyard/internal/model"
)

func TestByNetwork(t *testing.T) {
	rules := func(addresses ...string) *model.VaultNetwork {
		return &model.VaultNetwork{Deny: true, Addresses: addresses}
	}
	some := rules("192.0.2.0/24", "2001:db8::/32", "broken")
	for _, tt := range []struct {
		name, remote string
		vault        model.Vault
		want         NetworkRefusal
	}{
		{"no-rules", "192.0.2.1", model.Vault{}, Admitted},
		{"rules-without-deny", "203.0.113.1", model.Vault{Network: &model.VaultNetwork{Addresses: some.Addresses}}, Admitted},
		{"inside", "192.0.2.1", model.Vault{Network: some}, Admitted},
		{"outside", "192.0.3.1", model.Vault{Network: some}, ByFirewall},
		{"mapped", "::ffff:192.0.2.1", model.Vault{Network: some}, Admitted},
		{"ipv6", "2001:db8::1", model.Vault{Network: some}, Admitted},
		{"ipv6-outside", "2001:db9::1", model.Vault{Network: some}, ByFirewall},
		{"zone", "fe80::1%eth0", model.Vault{Network: rules("fe80::/10")}, Admitted},
		{"nobody", "192.0.2.1", model.Vault{Network: rules()}, ByFirewall},
		{"no-address", "", model.Vault{Network: rules("0.0.0.0/0")}, ByFirewall},
		{"socket", "@", model.Vault{Network: rules("0.0.0.0/0")}, ByFirewall},
		{"closed", "192.0.2.1", model.Vault{Network: some, Closed: true}, ByConnection},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := byNetwork(&tt.vault, tt.remote); got != tt.want {
				t.Errorf("byNetwork(%q) = %q, want %q", tt.remote, got, tt.want)
			}
		})
	}
}
