package names

// Surface is one of the services that have hosts of their own.
type Surface string

// The surfaces. Discovery is the token service's instance-discovery answer
// alone, served under Microsoft's name so that clients with a private authority
// find it (see Config.Discovery).
const (
	None       Surface = ""
	Login      Surface = "login"
	Management Surface = "management"
	Graph      Surface = "graph"
	Vault      Surface = "vault"
	Discovery  Surface = "discovery"
)

// String is the surface's name, fit for a metric label.
func (s Surface) String() string {
	if s == None {
		return "none"
	}
	return string(s)
}

// Row says where a surface is found, and what tokens for it are called. Routing,
// certificates, the proxy, the cluster's DNS, hosts files, aliases and audiences
// follow from it.
type Row struct {
	Surface Surface
	Own     Places // labels below our own domain
	Azure   Places // Microsoft's, whole
	// Audiences are Azure's own names of the resource that the surface stands for.
	// Scripts have them as constants, so they mean ours in every mode: the URLs, and
	// the application ids that are the same in every tenant. A surface without any
	// takes no tokens.
	// https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in
	Audiences []string
}

// Places are where one family has a surface: hosts, of which clients are told the
// first, and zones, which have further hosts one label below. That label is a
// region where there are hosts too; else it names a thing, such as a vault.
type Places struct{ Hosts, Zones []string }

// first is the host that clients are told, or the zone; empty where there is neither.
func (p Places) first() string {
	for _, names := range [][]string{p.Hosts, p.Zones} {
		if len(names) > 0 {
			return names[0]
		}
	}
	return ""
}

func (p Places) things() bool { return len(p.Hosts) == 0 }

// each makes other places of the same shape.
func (p Places) each(change func(string) string) Places {
	all := func(names []string) (changed []string) {
		for _, name := range names {
			changed = append(changed, change(name))
		}
		return changed
	}
	return Places{all(p.Hosts), all(p.Zones)}
}

// Table is what this program serves. SDKs put a region before our own login host
// for AZURE_REGIONAL_AUTHORITY_NAME; Microsoft's regions are at hosts apart, and the
// second one is that of older clients.
// https://learn.microsoft.com/entra/msal/dotnet/resources/region-discovery-troubleshooting
func Table() []Row {
	return []Row{
		{
			Surface: Login, Own: Places{Hosts: []string{"login"}, Zones: []string{"login"}},
			Azure: Places{
				Hosts: []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"},
				Zones: []string{"login.microsoft.com", "r.login.microsoftonline.com"},
			},
		},
		{
			Surface: Management, Own: Places{Hosts: []string{"management"}}, Azure: Places{Hosts: []string{"management.azure.com"}},
			Audiences: []string{"https://management.azure.com", "https://management.core.windows.net", "797f4846-ba00-4fd7-ba43-dac1f8f63013"},
		},
		{
			Surface: Graph, Own: Places{Hosts: []string{"graph"}}, Azure: Places{Hosts: []string{"graph.microsoft.com"}},
			Audiences: []string{"https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"},
		},
		{
			Surface: Vault, Own: Places{Zones: []string{"vault"}}, Azure: Places{Zones: []string{"vault.azure.net"}},
			Audiences: []string{"https://vault.azure.net", "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"},
		},
	}
}
