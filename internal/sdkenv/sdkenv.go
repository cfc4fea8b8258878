package sdkenv

import (
	"strings"

	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/shell"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// Config for Variables.
type Config struct {
	Dir   server.Dir
	State *server.State // where the directory's server listens, and how
	// Java adds what clients in Java heed.
	Java bool
	// Admin, if set, is whom the SDKs and Terraform are signed in as.
	Admin *server.Admin
	// Browser has az login open `lanyard browser`.
	Browser bool
}

// privateRanges are reached without the proxy, which knows only Lanyard's names.
// "localhost" must not be among them: clients take it for every *.localhost.
const privateRanges = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"

// Variables are what a shell is to have, in the order in which they are printed.
func Variables(c Config) ([]shell.Variable, error) {
	state := c.State
	n, err := state.Names()
	if err != nil {
		return nil, err
	}
	set := n.Own()
	if state.AzureNames {
		set = n.Azure()
	}
	var vars list
	vars.add(string(c.Dir), "LANYARD_DATA_DIR") // later commands ask the same server
	vars.reach(c)
	if state.AzureNames {
		// The built-in cloud says nothing of where extensions are; ours does.
		vars.add(set.ManagementURL()+"/extensions/index.json", "AZURE_EXTENSION_INDEX_URL")
	}
	if c.Java {
		options, err := javaOptions(c.Dir, state)
		if err != nil {
			return nil, err
		}
		vars.add(options, "JDK_JAVA_OPTIONS")
	}
	vars.add(set.LoginURL()+"/", wi.AuthorityEnv)
	if state.ADFS {
		vars.add("adfs", wi.TenantIDEnv)
	} else {
		vars.add(state.TenantID, wi.TenantIDEnv)
	}
	// Terraform has variables of its own, and finds all else at this host.
	vars.add(strings.TrimPrefix(set.ManagementURL(), "https://"), "ARM_METADATA_HOSTNAME")
	vars.add(state.TenantID, "ARM_TENANT_ID")
	vars.add(state.SubscriptionID, "ARM_SUBSCRIPTION_ID")
	if c.Admin != nil {
		for _, prefix := range []string{"AZURE_", "ARM_"} {
			vars.add(c.Admin.ClientID, prefix+"CLIENT_ID")
			vars.add(c.Admin.ClientSecret, prefix+"CLIENT_SECRET")
		}
	}
	if c.Browser {
		vars.add(browser(c.Dir), "BROWSER")
	}
	return vars, nil
}

type list []shell.Variable

func (l *list) add(value string, names ...string) {
	for _, name := range names {
		*l = append(*l, shell.Variable{Name: name, Value: value})
	}
}

// reach adds what leads to the server and has it trusted.
func (l *list) reach(c Config) {
	if c.State.Proxy != "" {
		l.add("http://"+c.State.Proxy, "HTTPS_PROXY", "https_proxy")
		l.add(privateRanges, "NO_PROXY", "no_proxy")
	}
	if c.State.OwnCA {
		l.add(c.Dir.Bundle(), "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
		l.add(c.Dir.CA(), "NODE_EXTRA_CA_CERTS")
	}
}

// browser is what Python, which az runs on, takes as BROWSER: a command with the
// URL's place, and & because it is not waited for.
// https://docs.python.org/3/library/webbrowser.html
func browser(dir server.Dir) string {
	return "lanyard browser --data-dir " + shell.Quote(string(dir)) + " %s &"
}

// Names are all that Variables may set.
func Names() []string {
	return []string{
		"LANYARD_DATA_DIR", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
		"AZURE_EXTENSION_INDEX_URL", "JDK_JAVA_OPTIONS", wi.AuthorityEnv, wi.TenantIDEnv, "ARM_METADATA_HOSTNAME", "ARM_TENANT_ID",
		"ARM_SUBSCRIPTION_ID", wi.ClientIDEnv, "AZURE_CLIENT_SECRET", "ARM_CLIENT_ID", "ARM_CLIENT_SECRET", "BROWSER",
	}
}
