package names

import (
	"net"
	"strconv"
)

// Hosts is one family of names: our own domain's, or Microsoft's public ones.
// What a client is told (issuer, challenge, ids) always stays within the family
// that it asked.
type Hosts struct {
	Azure    bool   // Microsoft's public names
	Domain   string // the parent of our own names; Microsoft's portal's
	Port     int    // the public port; 443 is left out of URLs
	Services Services

	at map[Surface]found
}

// found is where the family has a surface. The texts are made once, because every
// request asks for some.
type found struct {
	Places
	host, hostPort, url string
}

// put says where the family has a surface, if it has it.
func (h *Hosts) put(s Surface, p Places) {
	if host := p.first(); host != "" {
		h.at[s] = found{p, host, h.HostPort(host), h.url(host)}
	}
}

// Public is Microsoft's family.
func Public(table []Row) *Hosts {
	h := &Hosts{Azure: true, Domain: "azure.com", Port: 443, Services: azureServices, at: map[Surface]found{}}
	for _, r := range table {
		h.put(r.Surface, r.Azure)
	}
	return h
}

// Host is the surface's host, lower case and without a port; a vault's parent.
func (h *Hosts) Host(s Surface) string { return h.at[s].host }

// All are the surface's hosts: clients may know each of them for the same.
func (h *Hosts) All(s Surface) []string { return h.at[s].Hosts }

// URL is https:// and Host with the public port, without a trailing slash. That of
// a surface is its audience, too.
func (h *Hosts) URL(s Surface) string { return h.at[s].url }

// ThingURL is the endpoint of a thing that has a host of its own, without a
// trailing slash.
func (h *Hosts) ThingURL(s Surface, name string) string {
	return "https://" + name + "." + h.at[s].hostPort
}

// LoginURL is the authority, without a trailing slash: https://login.D[:port].
func (h *Hosts) LoginURL() string { return h.URL(Login) }

// ManagementURL is Resource Manager's endpoint, without a trailing slash.
func (h *Hosts) ManagementURL() string { return h.URL(Management) }

// GraphURL is Microsoft Graph's endpoint, without a trailing slash.
func (h *Hosts) GraphURL() string { return h.URL(Graph) }

// VaultURL is a vault's endpoint, without a trailing slash.
func (h *Hosts) VaultURL(vault string) string { return h.ThingURL(Vault, vault) }

// VaultResource is the audience of vault tokens, without a trailing slash. Its
// host and port are a parent of every vault's, as the SDKs check.
func (h *Hosts) VaultResource() string { return h.URL(Vault) }

// HostPort is host with the public port, as clients compare it; no port when it is 443.
func (h *Hosts) HostPort(host string) string {
	if h.Port == 443 {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(h.Port))
}

func (h *Hosts) url(host string) string { return "https://" + h.HostPort(host) }
