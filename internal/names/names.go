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
	// Table of the surfaces; default Table().
	Table []Row
}

// Names routes hosts to surfaces. It is immutable.
type Names struct {
	table  []Row
	own    *Hosts
	public *Hosts
	azure  bool             // names mode: public is ours too
	hosts  map[string]route // by name
	zones  map[string]route // by parent: one label below

	audiences map[string]Surface // without trailing slash
	announced map[string]bool    // likewise
}

type route struct {
	surface Surface
	family  *Hosts
	things  bool // the label below names one
}

// New checks the configuration and builds the maps.
func New(c Config) (*Names, error) {
	if c.Address == "" {
		c.Address = "lanyard.localhost"
	}
	if c.Table == nil {
		c.Table = Table()
	}
	domain, port, err := splitAddress(c.Address)
	if err != nil {
		return nil, err
	}
	n := &Names{
		table: c.Table, azure: c.Azure, hosts: map[string]route{}, zones: map[string]route{},
		audiences: map[string]Surface{}, announced: map[string]bool{},
	}
	n.own = &Hosts{Domain: domain, Port: port, at: map[Surface]found{}}
	n.own.Services = n.own.services()
	n.public = Public(c.Table)
	for _, r := range n.table {
		n.own.put(r.Surface, r.Own.each(func(label string) string { return label + "." + domain }))
		for _, audience := range r.Audiences {
			n.audiences[audience] = r.Surface
		}
	}
	n.add(n.own)
	switch {
	case c.Azure:
		n.add(n.public)
	case c.Discovery:
		n.hosts[n.public.Host(Login)] = route{surface: Discovery, family: n.own}
	}
	for _, a := range c.Aliases {
		if err := n.addAlias(a); err != nil {
			return nil, err
		}
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

// add routes all names of a family.
func (n *Names) add(family *Hosts) {
	for _, r := range n.table {
		n.place(r, family)
	}
	n.announce(&family.Services)
}

// place routes a family's names of one surface, and takes tokens for them.
func (n *Names) place(r Row, family *Hosts) {
	places, ok := family.at[r.Surface]
	if !ok {
		return
	}
	to := route{r.Surface, family, places.things()}
	for _, h := range places.Hosts {
		n.hosts[h] = to
	}
	for _, z := range places.Zones {
		n.zones[z] = to
	}
	if len(r.Audiences) > 0 {
		n.audiences[family.URL(r.Surface)] = r.Surface
	}
}

// addAlias gives a surface a further name, which is in a family of its own, so that
// answers keep the name that was asked.
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
	i := slices.IndexFunc(n.table, func(r Row) bool { return string(r.Surface) == kind })
	if i < 0 {
		return fmt.Errorf("alias %q: no surface %q; want %s", alias, kind, n.kinds())
	}
	family := *n.own
	family.at = maps.Clone(n.own.at)
	family.put(n.table[i].Surface, n.table[i].Own.each(func(string) string { return host }))
	n.place(n.table[i], &family)
	return nil
}

// kinds are the surfaces, in words.
func (n *Names) kinds() string {
	var kinds []string
	for _, r := range n.table {
		kinds = append(kinds, r.Surface.String())
	}
	last := len(kinds) - 1
	return strings.Join(kinds[:last], ", ") + " or " + kinds[last]
}

// Own is our own domain's family.
func (n *Names) Own() *Hosts { return n.own }

// Public is Public(Table), whether the server answers for those names or not.
func (n *Names) Public() *Hosts { return n.public }

// Azure is Microsoft's family; nil unless names mode is on.
func (n *Names) Azure() *Hosts {
	if !n.azure {
		return nil
	}
	return n.public
}

// Route finds the surface and family of a Host header or a CONNECT target; the
// port, if any, is ignored. Where a thing has a host of its own, such as a vault,
// it also gives the thing's name, lower case.
func (n *Names) Route(hostport string) (surface Surface, family *Hosts, thing string) {
	host := hostport
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if r, ok := n.hosts[host]; ok {
		return r.surface, r.family, ""
	}
	name, zone, ok := strings.Cut(host, ".")
	r, known := n.zones[zone]
	switch {
	case !ok || name == "" || !known:
		return None, nil, ""
	case r.things:
		return r.surface, r.family, name
	}
	return r.surface, r.family, ""
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
// sorted; things and regional login hosts as wildcards.
func (n *Names) Certificate() []string {
	dns := slices.Collect(maps.Keys(n.hosts))
	for z := range n.zones {
		dns = append(dns, "*."+z)
	}
	slices.Sort(dns)
	return dns
}

// Domains lists what a CA for these names may sign for, sorted: each domain permits
// the names below it, too.
func (n *Names) Domains() []string {
	domains := slices.AppendSeq(slices.Collect(maps.Keys(n.hosts)), maps.Keys(n.zones))
	slices.Sort(domains)
	return slices.Compact(domains)
}

// Needed lists the names that any certificate for the server must carry: our own,
// those of things as wildcards.
func (n *Names) Needed() []string {
	var dns []string
	for _, r := range n.table {
		name := n.own.Host(r.Surface)
		if r.Own.things() {
			name = "*." + name
		}
		dns = append(dns, name)
	}
	return dns
}

// Zone is where the things of a surface have hosts of their own: NAME.LABEL.DOMAIN.
type Zone struct {
	Surface Surface
	Label   string
}

// Zones lists our own domain's zones of things.
func (n *Names) Zones() []Zone {
	var zones []Zone
	for _, r := range n.table {
		if r.Own.things() {
			zones = append(zones, Zone{r.Surface, r.Own.first()})
		}
	}
	return zones
}

// HostNames lists the names of the server, sorted: those of the given things too,
// and of its login hosts in the given regions.
func (n *Names) HostNames(things map[Surface][]string, regions []string) []string {
	hosts := slices.Collect(maps.Keys(n.hosts))
	for zone, r := range n.zones {
		below := regions
		if r.things {
			below = things[r.surface]
		}
		for _, name := range below {
			hosts = append(hosts, strings.ToLower(name)+"."+zone)
		}
	}
	slices.Sort(hosts)
	return hosts
}
