package arm

import (
	"net/netip"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
)

// The most rules that a vault may have.
// https://learn.microsoft.com/azure/key-vault/general/network-security
const (
	maxIPRules = 1000
	maxSubnets = 200
)

// networkRules is a vault's networkAcls, in requests and answers. In a request, a
// member that is missing stays as it is.
type networkRules struct {
	Bypass         string       `json:"bypass,omitempty"`
	DefaultAction  string       `json:"defaultAction,omitempty"`
	IPRules        []ipRule     `json:"ipRules"`
	VirtualNetwork []subnetRule `json:"virtualNetworkRules"`
}

type ipRule struct {
	Value string `json:"value"` // an address, or a range as a CIDR
}

type subnetRule struct {
	ID            string `json:"id"`
	IgnoreMissing bool   `json:"ignoreMissingVnetServiceEndpoint,omitempty"`
}

// applyNetwork changes the addresses that may reach the vault's secrets.
func (p *vaultInput) applyNetwork(v *model.Vault) error {
	switch access := p.PublicAccess; {
	case access == nil || *access == "":
	case strings.EqualFold(*access, "Enabled"), strings.EqualFold(*access, "Disabled"):
		v.Closed = strings.EqualFold(*access, "Disabled")
	default:
		return fail(badRequest, "The property 'publicNetworkAccess' must be 'Enabled' or 'Disabled'.")
	}
	if p.Network == nil {
		return nil
	}
	n := model.VaultNetwork{}
	if v.Network != nil {
		n = *v.Network
	}
	switch {
	case p.Network.DefaultAction == "":
	case strings.EqualFold(p.Network.DefaultAction, "Allow"), strings.EqualFold(p.Network.DefaultAction, "Deny"):
		n.Deny = strings.EqualFold(p.Network.DefaultAction, "Deny")
	default:
		return fail(badRequest, "The property 'networkAcls.defaultAction' must be 'Allow' or 'Deny'.")
	}
	switch {
	case p.Network.Bypass == "":
	case strings.EqualFold(p.Network.Bypass, "AzureServices"), strings.EqualFold(p.Network.Bypass, "None"):
		n.NoBypass = strings.EqualFold(p.Network.Bypass, "None")
	default:
		return fail(badRequest, "The property 'networkAcls.bypass' must be 'AzureServices' or 'None'.")
	}
	v.Network = &n
	return p.Network.applyRules(&n)
}

func (r *networkRules) applyRules(n *model.VaultNetwork) error {
	if len(r.IPRules) > maxIPRules || len(r.VirtualNetwork) > maxSubnets {
		return fail(badRequest, "A vault may have at most %d rules for addresses and %d for virtual networks.", maxIPRules, maxSubnets)
	}
	if r.IPRules != nil {
		n.Addresses = nil
	}
	for i, rule := range r.IPRules {
		prefix, err := parseRange(rule.Value)
		if err != nil {
			return fail(badRequest, "networkAcls.ipRules[%d].value must be an IP address or a range such as 192.0.2.0/24.", i)
		}
		n.Addresses = union(n.Addresses, []string{prefix.String()})
	}
	if r.VirtualNetwork != nil {
		n.Subnets = nil
	}
	for i, rule := range r.VirtualNetwork {
		id, err := resid.Parse(rule.ID)
		if err != nil || id.TypeKey() != "microsoft.network/virtualnetworks/subnets" || id.IsCollection() {
			return fail(badRequest, "networkAcls.virtualNetworkRules[%d].id must be the resource id of a subnet.", i)
		}
		n.Subnets = append(n.Subnets, model.VaultSubnet{ID: rule.ID, IgnoreMissing: rule.IgnoreMissing})
	}
	return nil
}

// parseRange reads a CIDR, or an address as the range of it alone.
func parseRange(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fail(badRequest, "not an address")
	}
	return a.Prefix(a.BitLen())
}

func showNetwork(n *model.VaultNetwork) networkRules {
	out := networkRules{Bypass: "AzureServices", DefaultAction: "Allow", IPRules: []ipRule{}, VirtualNetwork: []subnetRule{}}
	if n == nil {
		return out
	}
	if n.NoBypass {
		out.Bypass = "None"
	}
	if n.Deny {
		out.DefaultAction = "Deny"
	}
	for _, a := range n.Addresses {
		out.IPRules = append(out.IPRules, ipRule{a})
	}
	for _, s := range n.Subnets {
		out.VirtualNetwork = append(out.VirtualNetwork, subnetRule(s))
	}
	return out
}
