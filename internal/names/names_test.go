package names_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/names"
)

func build(t testing.TB, c names.Config) *names.Names {
	t.Helper()
	n, err := names.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRoute(t *testing.T) {
	n := build(t, names.Config{
		Address: "Lanyard.Example.org:8443", Azure: true,
		Aliases: []string{"login=sts.example.org", "vault=vaults.example.org", "management=arm.example.org", "graph=msgraph.example.org"},
	})
	for _, c := range []struct {
		host    string
		surface names.Surface
		azure   bool
		vault   string
	}{
		{"login.lanyard.example.org", names.Login, false, ""},
		{"LOGIN.lanyard.example.org:8443", names.Login, false, ""},
		{"login.lanyard.example.org.", names.Login, false, ""},
		{"login.lanyard.example.org.:443", names.Login, false, ""},
		{"management.lanyard.example.org", names.Management, false, ""},
		{"graph.lanyard.example.org", names.Graph, false, ""},
		{"KV1.vault.lanyard.example.org", names.Vault, false, "kv1"},
		{"sts.example.org", names.Login, false, ""},
		{"arm.example.org", names.Management, false, ""},
		{"msgraph.example.org", names.Graph, false, ""},
		{"kv1.vaults.example.org", names.Vault, false, "kv1"},
		{"login.microsoftonline.com", names.Login, true, ""},
		{"login.windows.net", names.Login, true, ""},
		{"WestEurope.login.lanyard.example.org:8443", names.Login, false, ""},
		{"westeurope.sts.example.org", names.Login, false, ""},
		{"westeurope.login.microsoft.com", names.Login, true, ""},
		{"westeurope.r.login.microsoftonline.com", names.Login, true, ""},
		{"westeurope.login.microsoftonline.com", names.None, false, ""},
		{"a.b.login.lanyard.example.org", names.None, false, ""},
		{".login.lanyard.example.org", names.None, false, ""},
		{"westeurope.graph.lanyard.example.org", names.None, false, ""},
		{"sts.windows.net", names.Login, true, ""},
		{"management.azure.com:443", names.Management, true, ""},
		{"graph.microsoft.com", names.Graph, true, ""},
		{"kv1.vault.azure.net", names.Vault, true, "kv1"},
		{"", names.None, false, ""},
		{".", names.None, false, ""},
		{":443", names.None, false, ""},
		{"lanyard.example.org", names.None, false, ""},
		{"vault.lanyard.example.org", names.None, false, ""},
		{".vault.lanyard.example.org", names.None, false, ""},
		{"a.b.vault.lanyard.example.org", names.None, false, ""},
		{"xlogin.lanyard.example.org", names.None, false, ""},
		{"login.lanyard.example.org.evil.org", names.None, false, ""},
		{"127.0.0.1:443", names.None, false, ""},
		{"[::1]:443", names.None, false, ""},
		{"[::1]", names.None, false, ""},
	} {
		surface, set, vault := n.Route(c.host)
		if surface != c.surface || vault != c.vault {
			t.Errorf("Route(%q) = %v %q, want %v %q", c.host, surface, vault, c.surface, c.vault)
		}
		if (set != nil) != (surface != names.None) || set != nil && set.Azure != c.azure {
			t.Errorf("Route(%q): family %+v, want Azure %v", c.host, set, c.azure)
		}
	}
}

func TestAnswersStayInTheFamilyThatWasAsked(t *testing.T) {
	n := build(t, names.Config{Address: "lanyard.test:8443", Azure: true, Aliases: []string{"login=sts.example.org"}})
	_, alias, _ := n.Route("sts.example.org")
	type urls struct{ login, management, graph, vault, resource string }
	of := func(s *names.Hosts) urls {
		return urls{s.LoginURL(), s.ManagementURL(), s.GraphURL(), s.VaultURL("kv1"), s.VaultResource()}
	}
	own := urls{
		"https://login.lanyard.test:8443", "https://management.lanyard.test:8443", "https://graph.lanyard.test:8443",
		"https://kv1.vault.lanyard.test:8443", "https://vault.lanyard.test:8443",
	}
	aliased := own
	aliased.login = "https://sts.example.org:8443"
	azure := urls{
		"https://login.microsoftonline.com", "https://management.azure.com", "https://graph.microsoft.com",
		"https://kv1.vault.azure.net", "https://vault.azure.net",
	}
	for name, c := range map[string]struct{ got, want urls }{
		"own": {of(n.Own()), own}, "alias": {of(alias), aliased}, "azure": {of(n.Azure()), azure},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", name, c.got, c.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	n := build(t, names.Config{})
	if got := n.Own().LoginURL(); got != "https://login.lanyard.localhost" {
		t.Errorf("LoginURL = %q", got)
	}
	if n.Azure() != nil {
		t.Error("names mode is on")
	}
	if s, _, _ := n.Route("login.microsoftonline.com"); s != names.None {
		t.Errorf("Microsoft's login host is routed to %v", s)
	}
}

func TestDiscoveryAlone(t *testing.T) {
	n := build(t, names.Config{Discovery: true})
	s, set, _ := n.Route("login.microsoftonline.com")
	if s != names.Discovery || set != n.Own() {
		t.Errorf("Route = %v %+v, want discovery in our own family", s, set)
	}
	if s, _, _ := n.Route("kv1.vault.azure.net"); s != names.None {
		t.Errorf("Microsoft's vaults are routed to %v", s)
	}
}

func TestAudience(t *testing.T) {
	n := build(t, names.Config{Address: "lanyard.test:8443", Azure: true, Aliases: []string{"vault=vaults.example.org"}})
	for aud, want := range map[string]names.Surface{
		"https://vault.lanyard.test:8443":         names.Vault,
		"https://vault.lanyard.test:8443/":        names.Vault,
		"https://management.lanyard.test:8443/":   names.Management,
		"https://graph.lanyard.test:8443":         names.Graph,
		"https://vaults.example.org:8443":         names.Vault,
		"https://vault.azure.net":                 names.Vault,
		"https://management.azure.com/":           names.Management,
		"https://management.core.windows.net/":    names.Management,
		"https://graph.microsoft.com":             names.Graph,
		"https://vault.lanyard.test":              names.None,
		"https://vault.lanyard.test:8443//":       names.None,
		"https://kv1.vault.lanyard.test:8443":     names.None,
		"https://login.lanyard.test:8443":         names.None,
		"http://vault.lanyard.test:8443":          names.None,
		"https://VAULT.lanyard.test:8443":         names.None,
		"":                                        names.None,
		"api://AzureADTokenExchange":              names.None,
		"https://vault.lanyard.test:8443.evil.io": names.None,
	} {
		if got := n.Audience(aud); got != want {
			t.Errorf("Audience(%q) = %v, want %v", aud, got, want)
		}
	}
}

// Scripts have Azure's resources as constants: they mean our surfaces with and
// without names mode.
func TestAzureAudiences(t *testing.T) {
	for mode, c := range map[string]names.Config{
		"own": {Address: "lanyard.test:8443"}, "discovery": {Discovery: true}, "azure": {Azure: true},
	} {
		n := build(t, c)
		for aud, want := range map[string]names.Surface{
			"https://vault.azure.net":                names.Vault,
			"https://vault.azure.net/":               names.Vault,
			"cfa8b339-82a2-471a-a3c9-0fc0be7a4093":   names.Vault,
			"CFA8B339-82A2-471A-A3C9-0FC0BE7A4093":   names.Vault,
			"https://management.azure.com/":          names.Management,
			"https://management.core.windows.net/":   names.Management,
			"797f4846-ba00-4fd7-ba43-dac1f8f63013":   names.Management,
			"https://graph.microsoft.com":            names.Graph,
			"00000003-0000-0000-c000-000000000000":   names.Graph,
			"https://graph.windows.net/":             names.None,
			"https://managedhsm.azure.net":           names.None,
			"https://storage.azure.com/":             names.None,
			"https://vault.azure.net//":              names.None,
			"http://vault.azure.net":                 names.None,
			"https://kv1.vault.azure.net":            names.None,
			"https://VAULT.azure.net":                names.None,
			"00000002-0000-0000-c000-000000000000":   names.None,
			"cfa8b339-82a2-471a-a3c9-0fc0be7a409":    names.None,
			"api://cfa8b339-82a2-471a-a3c9-0fc0be7a": names.None,
		} {
			if got := n.Audience(aud); got != want {
				t.Errorf("%s: Audience(%q) = %v, want %v", mode, aud, got, want)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []names.Config{
		{Address: "127.0.0.1"},
		{Address: "[::1]:443"},
		{Address: "https://lanyard.test"},
		{Address: "lanyard.test/"},
		{Address: "lanyard..test"},
		{Address: "-lanyard.test"},
		{Address: "lanyard_test"},
		{Address: "lanyard.test:0"},
		{Address: "lanyard.test:65536"},
		{Address: "lanyard.test:https"},
		{Address: strings.Repeat("a", 64) + ".test"},
		{Address: strings.Repeat("a.", 100) + "test"},
		{Aliases: []string{"sts.example.org"}},
		{Aliases: []string{"login="}},
		{Aliases: []string{"login=*.example.org"}},
		{Aliases: []string{"sts=sts.example.org"}},
	} {
		if _, err := names.New(c); err == nil {
			t.Errorf("New(%+v) accepted it", c)
		}
	}
}

func TestCertificateNames(t *testing.T) {
	n := build(t, names.Config{Address: "lanyard.test", Discovery: true, Aliases: []string{"vault=vaults.example.org"}})
	want := []string{
		"*.login.lanyard.test", "*.vault.lanyard.test", "*.vaults.example.org", "graph.lanyard.test", "login.lanyard.test",
		"login.microsoftonline.com", "management.lanyard.test",
	}
	if diff := cmp.Diff(want, n.Certificate()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A hosts file has no wildcards: vaults and regions are listed by name, each
// where it belongs.
func TestHosts(t *testing.T) {
	n := build(t, names.Config{Address: "lanyard.test", Azure: true, Aliases: []string{"login=sts.example.org", "vault=vaults.example.org"}})
	vaults, regions := []string{"KV1", "kv2"}, []string{"westeurope"}
	hosts := n.HostNames(map[names.Surface][]string{names.Vault: vaults}, regions)
	if !slices.IsSorted(hosts) || len(slices.Compact(slices.Clone(hosts))) != len(hosts) {
		t.Errorf("hosts are not sorted and unique: %v", hosts)
	}
	for _, want := range []string{
		"login.lanyard.test", "kv1.vault.lanyard.test", "kv2.vault.azure.net", "kv2.vaults.example.org",
		"westeurope.login.lanyard.test", "westeurope.sts.example.org", "westeurope.login.microsoft.com",
	} {
		if !slices.Contains(hosts, want) {
			t.Errorf("hosts %v lack %s", hosts, want)
		}
	}
	for _, h := range hosts {
		if s, _, _ := n.Route(h); s == names.None {
			t.Errorf("%s is listed and not routed", h)
		}
	}
	if got, want := len(n.HostNames(nil, nil)), len(hosts)-3*len(vaults)-4*len(regions); got != want {
		t.Errorf("%d hosts without vaults and regions, want %d", got, want)
	}
}

// Every name that is routed is one that the certificate carries, and the other
// way round: a client that reaches a surface can always verify it.
func TestRoutedNamesAreCertified(t *testing.T) {
	label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		domain := strings.Join(rapid.SliceOfN(label, 1, 3).Draw(t, "domain"), ".") + ".test"
		n, err := names.New(names.Config{
			Address: domain, Azure: rapid.Bool().Draw(t, "azure"), Discovery: rapid.Bool().Draw(t, "discovery"),
			Aliases: []string{rapid.SampledFrom([]string{"login", "management", "graph", "vault"}).Draw(t, "kind") + "=alias.example.org"},
		})
		if err != nil {
			t.Fatal(err)
		}
		certified := n.Certificate()
		for _, c := range certified {
			host := strings.Replace(c, "*", label.Draw(t, "vault"), 1)
			s, _, vault := n.Route(host)
			if s == names.None || strings.HasPrefix(c, "*.") && s != names.Vault && s != names.Login || (vault != "") != (s == names.Vault) {
				t.Fatalf("Route(%q) = %v %q, but the certificate has %q", host, s, vault, c)
			}
		}
		host := rapid.SampledFrom([]string{"", "login.", "vault.", "graph.", "kv.vault.", "a.b.vault.", "eu.", "eu.login.", "a.eu.login.", "eu.r.login."}).Draw(t, "prefix") +
			rapid.SampledFrom([]string{domain, "alias.example.org", "azure.net", "microsoftonline.com", "microsoft.com"}).Draw(t, "parent")
		_, parent, _ := strings.Cut(host, ".")
		want := slices.Contains(certified, host) || slices.Contains(certified, "*."+parent)
		if s, _, _ := n.Route(host); (s != names.None) != want {
			t.Fatalf("Route(%q) = %v, certified %v", host, s, certified)
		}
	})
}

// A surface need not have a public name: names mode leaves it where it is.
func TestSurfaceWithoutPublicNames(t *testing.T) {
	own := names.Row{Surface: "console", Own: names.Places{Hosts: []string{"console"}}, Audiences: []string{"console"}}
	n := build(t, names.Config{Address: "lanyard.test", Azure: true, Table: append(names.Table(), own)})
	if s, family, _ := n.Route("console.lanyard.test"); s != "console" || family != n.Own() {
		t.Errorf("Route = %v in %+v", s, family)
	}
	if got := n.Audience("https://"); got != names.None {
		t.Errorf("no name at all is the audience of %v", got)
	}
	if got := n.Azure().URL("console"); got != "" {
		t.Errorf("Microsoft has it at %q", got)
	}
	if hosts := n.HostNames(nil, nil); slices.Contains(hosts, "") {
		t.Errorf("a host without a name: %q", hosts)
	}
}

func FuzzRoute(f *testing.F) {
	for _, s := range []string{"login.lanyard.test:443", "kv1.vault.lanyard.test", "eu.login.lanyard.test", "[::1]:1", ":", "..", "a:b:c", "\x00.vault.lanyard.test"} {
		f.Add(s)
	}
	n := build(f, names.Config{Address: "lanyard.test"})
	f.Fuzz(func(t *testing.T, host string) {
		surface, set, vault := n.Route(host)
		if (surface == names.None) != (set == nil) {
			t.Errorf("Route(%q) = %v with family %v", host, surface, set)
		}
		if (surface == names.Vault) != (vault != "") || strings.Contains(vault, ".") || vault != strings.ToLower(vault) {
			t.Errorf("Route(%q): vault %q on surface %v", host, vault, surface)
		}
	})
}
