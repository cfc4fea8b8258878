// Package names owns the host names that the server answers to: which surface a
// host belongs to, which URLs a client should be told, and which token
// audiences mean one of our own surfaces. It opens no connection.
package names

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Surface is one of the services that have hosts of their own.
type Surface uint8

// The surfaces. Discovery is the token service's instance-discovery answer
// alone, served under Microsoft's name so that clients with a private authority
// find it (see Config.Discovery).
const (
	None Surface = iota
	Login
	Management
	Graph
	Vault
	Discovery
)

var surfaceNames = [...]string{"none", "login", "management", "graph", "vault", "discovery"}

// String is the surface's name, fit for a metric label.
func (s Surface) String() string { return surfaceNames[s] }

// Set is one family of names: our own domain's, or Microsoft's public ones.
// What a client is told (issuer, challenge, ids) always stays within the family
// that it asked.
type Set struct {
	Azure      bool   // Microsoft's public names
	Domain     string // the parent of our own names; Microsoft's portal's
	Login      string // host without port, lower case
	Management string
	Graph      string
	VaultZone  string // vaults are NAME.VaultZone
	Port       int    // the public port; 443 is left out of URLs
	Services   Services
}

// LoginURL is the authority, without a trailing slash: https://login.D[:port].
func (s *Set) LoginURL() string { return s.url(s.Login) }

// ManagementURL is Resource Manager's endpoint, without a trailing slash.
func (s *Set) ManagementURL() string { return s.url(s.Management) }

// GraphURL is Microsoft Graph's endpoint, without a trailing slash.
func (s *Set) GraphURL() string { return s.url(s.Graph) }

// VaultURL is a vault's endpoint, without a trailing slash.
func (s *Set) VaultURL(vault string) string { return s.url(vault + "." + s.VaultZone) }

// VaultResource is the audience of vault tokens, without a trailing slash. Its
// host and port are a parent of every vault's, as the SDKs check.
func (s *Set) VaultResource() string { return s.url(s.VaultZone) }

// HostPort is host with the public port, as clients compare it; no port when it is 443.
func (s *Set) HostPort(host string) string {
	if s.Port == 443 {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(s.Port))
}

func (s *Set) url(host string) string { return "https://" + s.HostPort(host) }

// Config says which names to answer to.
type Config struct {
	// Address is the public address, DOMAIN or DOMAIN:PORT: all URLs that the
	// server gives out are made from it. Default "lanyard.localhost".
	Address string
	// Azure also answers for Microsoft's public names (names mode).
	Azure bool
	// Discovery answers instance discovery on login.microsoftonline.com even
	// when Azure is off: SDKs ask there about any authority they do not know.
	Discovery bool
	// Aliases are further hosts of a surface: "login=sts.example.org". A vault
	// alias is a zone: "vault=vaults.example.org" answers NAME.vaults.example.org.
	Aliases []string
}

// Names routes hosts to surfaces. It is immutable.
type Names struct {
	own   *Set
	azure *Set // nil unless names mode
	hosts map[string]route
	zones map[string]route // by parent: vaults and regional login hosts, one label below
	sets  []*Set           // every family once, our own first

	audiences map[string]Surface // without trailing slash
	announced map[string]bool    // likewise
}

type route struct {
	surface Surface
	set     *Set
}

const (
	publicLogin = "login.microsoftonline.com"
	publicVault = "vault.azure.net"
)

// Microsoft's public authorities, besides login.microsoftonline.com.
var publicLogins = []string{"login.windows.net", "login.microsoft.com", "sts.windows.net"}

// publicRegions are the parents of Microsoft's regional login hosts; the second
// is that of older clients.
var publicRegions = []string{"login.microsoft.com", "r.login.microsoftonline.com"}

// New checks the configuration and builds the tables.
func New(c Config) (*Names, error) {
	if c.Address == "" {
		c.Address = "lanyard.localhost"
	}
	domain, port, err := splitAddress(c.Address)
	if err != nil {
		return nil, err
	}
	n := &Names{hosts: map[string]route{}, zones: map[string]route{}, audiences: maps.Clone(azureAudiences), announced: map[string]bool{}}
	n.own = &Set{
		Login: "login." + domain, Management: "management." + domain, Graph: "graph." + domain,
		VaultZone: "vault." + domain, Port: port, Domain: domain,
	}
	n.own.Services = n.own.services()
	n.add(n.own)
	switch {
	case c.Azure:
		n.azure = &Set{
			Azure: true, Domain: "azure.com", Services: azureServices, Login: publicLogin, Management: "management.azure.com",
			Graph: "graph.microsoft.com", VaultZone: publicVault, Port: 443,
		}
		n.add(n.azure)
		for _, h := range publicLogins {
			n.hosts[h] = route{Login, n.azure}
		}
		for _, z := range publicRegions {
			n.zones[z] = route{Login, n.azure}
		}
	case c.Discovery:
		n.hosts[publicLogin] = route{Discovery, n.own}
	}
	for _, a := range c.Aliases {
		if err := n.addAlias(a); err != nil {
			return nil, err
		}
	}
	for _, s := range n.sets {
		n.audiences[s.VaultResource()] = Vault
		n.audiences[s.ManagementURL()] = Management
		n.audiences[s.GraphURL()] = Graph
		n.announce(&s.Services)
	}
	return n, nil
}

func splitAddress(address string) (domain string, port int, err error) {
	domain, port = strings.ToLower(address), 443
	if host, p, splitErr := net.SplitHostPort(domain); splitErr == nil {
		domain = host
		port, err = strconv.Atoi(p)
		if err != nil || port < 1 || port > 65535 {
			return "", 0, fmt.Errorf("public address %q: bad port", address)
		}
	}
	if !validDomain(domain) || net.ParseIP(domain) != nil {
		return "", 0, fmt.Errorf("public address %q: want a domain name such as lanyard.example.org, with :PORT if it is not 443", address)
	}
	return domain, port, nil
}

func validDomain(d string) bool {
	if d == "" || len(d) > 200 {
		return false
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range label {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

func (n *Names) add(s *Set) {
	n.sets = append(n.sets, s)
	n.addLogin(s)
	n.hosts[s.Management] = route{Management, s}
	n.hosts[s.Graph] = route{Graph, s}
	n.zones[s.VaultZone] = route{Vault, s}
}

// addLogin adds a family's authority, and the region in front of it that SDKs put
// there for AZURE_REGIONAL_AUTHORITY_NAME. A region is another way to the same
// authority: answers stay those of the family. Microsoft's own are elsewhere.
// https://learn.microsoft.com/entra/msal/dotnet/resources/region-discovery-troubleshooting
func (n *Names) addLogin(s *Set) {
	n.hosts[s.Login] = route{Login, s}
	if !s.Azure {
		n.zones[s.Login] = route{Login, s}
	}
}

func (n *Names) addAlias(alias string) error {
	kind, host, ok := strings.Cut(strings.ToLower(alias), "=")
	if !ok || !validDomain(host) {
		return fmt.Errorf("alias %q: want SURFACE=HOST, such as login=sts.example.org", alias)
	}
	_, isHost := n.hosts[host]
	_, isZone := n.zones[host]
	if isHost || isZone {
		return fmt.Errorf("alias %q: the server has that name already", alias)
	}
	set := *n.own // a family of its own: answers keep the name that was asked
	n.sets = append(n.sets, &set)
	switch kind {
	case "login":
		set.Login = host
		n.addLogin(&set)
	case "management":
		set.Management = host
		n.hosts[host] = route{Management, &set}
	case "graph":
		set.Graph = host
		n.hosts[host] = route{Graph, &set}
	case "vault":
		set.VaultZone = host
		n.zones[host] = route{Vault, &set}
	default:
		return fmt.Errorf("alias %q: no surface %q; want login, management, graph or vault", alias, kind)
	}
	return nil
}

// Own is our own domain's family.
func (n *Names) Own() *Set { return n.own }

// Azure is Microsoft's family; nil unless names mode is on.
func (n *Names) Azure() *Set { return n.azure }

// Route finds the surface and family of a Host header or a CONNECT target; the
// port, if any, is ignored. For a vault it also gives the vault's name, lower case.
func (n *Names) Route(hostport string) (surface Surface, set *Set, vault string) {
	host := hostport
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if r, ok := n.hosts[host]; ok {
		return r.surface, r.set, ""
	}
	name, zone, ok := strings.Cut(host, ".")
	r, known := n.zones[zone]
	switch {
	case !ok || name == "" || !known:
		return None, nil, ""
	case r.surface == Vault:
		return Vault, r.set, name
	}
	return r.surface, r.set, ""
}

// azureAudiences are Azure's own names of the resources that our surfaces stand
// for. Scripts have them as constants, so they mean ours under every name: the
// URLs, and the application ids that are the same in every tenant.
// https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in
var azureAudiences = map[string]Surface{
	"https://vault.azure.net":              Vault,
	"cfa8b339-82a2-471a-a3c9-0fc0be7a4093": Vault,
	"https://management.azure.com":         Management,
	"https://management.core.windows.net":  Management,
	"797f4846-ba00-4fd7-ba43-dac1f8f63013": Management,
	"https://graph.microsoft.com":          Graph,
	"00000003-0000-0000-c000-000000000000": Graph,
}

// Issues says whether an issuer is on a login host of ours, in any family.
func (n *Names) Issues(issuer string) bool {
	const scheme = "https://"
	if len(issuer) < len(scheme) || !strings.EqualFold(issuer[:len(scheme)], scheme) {
		return false
	}
	host := issuer[len(scheme):]
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	surface, _, _ := n.Route(host[strings.LastIndexByte(host, '@')+1:])
	return surface == Login
}

// Audience tells which of our surfaces a token audience or a scope's resource
// names, in any family; one trailing slash more or less does not matter, nor does
// the letter case of an application's id.
func (n *Names) Audience(aud string) Surface {
	aud = strings.TrimSuffix(aud, "/")
	surface, ok := n.audiences[aud]
	if !ok && len(aud) == len("00000000-0000-0000-0000-000000000000") {
		surface = n.audiences[strings.ToLower(aud)]
	}
	return surface
}

// Certificate lists the DNS names that the server's certificate must carry,
// sorted; vaults and regional login hosts as wildcards.
func (n *Names) Certificate() []string {
	dns := slices.Collect(maps.Keys(n.hosts))
	for z := range n.zones {
		dns = append(dns, "*."+z)
	}
	slices.Sort(dns)
	return dns
}

// Hosts lists the names of the server, sorted: those of the given vaults too, and
// of its login hosts in the given regions.
func (n *Names) Hosts(vaults, regions []string) []string {
	hosts := slices.Collect(maps.Keys(n.hosts))
	for zone, r := range n.zones {
		below := vaults
		if r.surface != Vault {
			below = regions
		}
		for _, name := range below {
			hosts = append(hosts, strings.ToLower(name)+"."+zone)
		}
	}
	slices.Sort(hosts)
	return hosts
}
