package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/shell"
)

func newEnvCmd(a *app) *cobra.Command {
	var kind string
	var admin, java, browser, unset bool
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the shell lines that make clients find and trust the server",
		Long: `Print the lines that point this shell's Azure clients at the server: the proxy
through which they find its names, its CA in every runtime's own variable, and the
ARM_ variables of Terraform's azurerm provider. NO_PROXY is set so that private
addresses are still reached directly.

Java reads none of these. With --java the same is in JDK_JAVA_OPTIONS, which java
heeds (since version 9) and mentions on its standard error; for other programs that
are a Java machine, copy it to JAVA_TOOL_OPTIONS.

What the variables were before is kept in variables beside them (LANYARD_WAS_…), and
--unset brings it back: all that env has set in this shell, and nothing else.`,
		Example: `  eval "$(lanyard env)"
  eval "$(lanyard env --admin)"      # also sign the SDKs and Terraform in as the admin
  lanyard env --shell fish | source
  eval "$(lanyard env --browser)"    # also have az login open lanyard browser
  eval "$(lanyard env --java)"       # also lead Java to it
  eval "$(lanyard env --unset)"      # back to before`,
		Args: cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			s, err := shell.SyntaxOf(kind)
			if err != nil {
				return err
			}
			if unset {
				return a.printRestore(s)
			}
			vars, err := a.env(admin, java)
			if err != nil {
				return err
			}
			if browser {
				vars = append(vars, a.browserVariable())
			}
			a.printEnv(s, vars)
			return nil
		},
	}
	cmd.Flags().StringVar(&kind, "shell", "sh", "sh, fish or powershell")
	cmd.Flags().BoolVar(&admin, "admin", false, "also set AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and their ARM_ twins to the admin's")
	cmd.Flags().BoolVar(&java, "java", false, "also set JDK_JAVA_OPTIONS, for clients in Java")
	cmd.Flags().BoolVar(&browser, "browser", false, "also set BROWSER, so that az login opens lanyard browser")
	cmd.Flags().BoolVar(&unset, "unset", false, "print the lines that bring back what was there before")
	return cmd
}

// printEnv prints what keeps the variables' old values, then what sets them.
func (a *app) printEnv(s shell.Syntax, vars []variable) {
	for _, v := range vars {
		fmt.Fprintln(a.Out, s.Remember(v.name))
	}
	for _, v := range vars {
		fmt.Fprintln(a.Out, s.Set(v.name, v.value))
	}
}

// browserVariable is what Python, which az runs on, takes as BROWSER: a command with the
// URL's place, and & because it is not waited for.
// https://docs.python.org/3/library/webbrowser.html
func (a *app) browserVariable() variable {
	return variable{"BROWSER", "lanyard browser --data-dir " + shell.Quote(a.dataDir) + " %s &"}
}

// printRestore prints what brings the old values back.
func (a *app) printRestore(s shell.Syntax) error {
	for _, name := range envNames {
		fmt.Fprintln(a.Out, s.Restore(name))
	}
	return nil
}

// variable is one line of `lanyard env`.
type variable struct{ name, value string }

// privateRanges are reached without the proxy, which knows only Lanyard's names.
// "localhost" must not be among them: clients take it for every *.localhost.
const privateRanges = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"

func (a *app) env(admin, java bool) ([]variable, error) {
	dir := server.Dir(a.dataDir)
	state, err := a.state()
	if err != nil {
		return nil, err
	}
	n, err := names.New(names.Config{Address: state.Address, Azure: state.AzureNames, Aliases: state.Aliases})
	if err != nil {
		return nil, err
	}
	set := n.Own()
	if state.AzureNames {
		set = n.Azure()
	}
	var vars []variable
	add := func(name, value string) { vars = append(vars, variable{name, value}) }
	if state.Proxy != "" {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
			add(name, "http://"+state.Proxy)
		}
		for _, name := range []string{"NO_PROXY", "no_proxy"} {
			add(name, privateRanges)
		}
	}
	if state.OwnCA {
		for _, name := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} {
			add(name, dir.Bundle())
		}
		add("NODE_EXTRA_CA_CERTS", dir.CA())
	}
	if state.AzureNames {
		// The built-in cloud says nothing of where extensions are; ours does.
		add("AZURE_EXTENSION_INDEX_URL", set.ManagementURL()+"/extensions/index.json")
	}
	if java {
		options, err := javaOptions(dir, state)
		if err != nil {
			return nil, err
		}
		add("JDK_JAVA_OPTIONS", options)
	}
	add("AZURE_AUTHORITY_HOST", set.LoginURL()+"/")
	tenant := state.TenantID
	if state.ADFS {
		tenant = "adfs"
	}
	add("AZURE_TENANT_ID", tenant)
	// Terraform has variables of its own, and finds all else at this host.
	add("ARM_METADATA_HOSTNAME", strings.TrimPrefix(set.ManagementURL(), "https://"))
	add("ARM_TENANT_ID", state.TenantID)
	add("ARM_SUBSCRIPTION_ID", state.SubscriptionID)
	if admin {
		adm, err := server.ReadAdmin(dir.AdminFile())
		if err != nil {
			return nil, err
		}
		for _, prefix := range []string{"AZURE_", "ARM_"} {
			add(prefix+"CLIENT_ID", adm.ClientID)
			add(prefix+"CLIENT_SECRET", adm.ClientSecret)
		}
	}
	return vars, nil
}

// envNames are all that `lanyard env` may set.
var envNames = []string{
	"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
	"AZURE_EXTENSION_INDEX_URL", "JDK_JAVA_OPTIONS", "AZURE_AUTHORITY_HOST", "AZURE_TENANT_ID", "ARM_METADATA_HOSTNAME", "ARM_TENANT_ID",
	"ARM_SUBSCRIPTION_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "ARM_CLIENT_ID", "ARM_CLIENT_SECRET", "BROWSER",
}

// state is where the data directory's server listens.
func (a *app) state() (*server.State, error) {
	s, err := server.Dir(a.dataDir).State()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.WithHint(fmt.Errorf("no server has run in %s", a.dataDir), "start one with `lanyard up`, or name its directory with --data-dir")
	}
	return s, err
}

func newHostsCmd(a *app) *cobra.Command {
	var ip string
	var regions []string
	cmd := &cobra.Command{
		Use:   "hosts [VAULT...]",
		Short: "Print the lines for a hosts file, or the names that DNS must serve",
		Long: `Print hosts-file lines for the server's names and the given vaults. A hosts file
has no wildcards, so every vault is listed by name, and so is every region that
clients have in AZURE_REGIONAL_AUTHORITY_NAME. With DNS, point *.vault.DOMAIN and
*.login.DOMAIN at the server instead.`,
		Example: `  lanyard hosts kv-dev kv-test | sudo tee -a /etc/hosts
  lanyard hosts --ip 10.0.0.5 --region westeurope kv-prod`,
		RunE: func(_ *cobra.Command, vaults []string) error {
			state, err := a.state()
			if err != nil {
				return err
			}
			if net.ParseIP(ip) == nil {
				return fmt.Errorf("ip %q: want an address", ip)
			}
			n, err := names.New(names.Config{Address: state.Address, Azure: state.AzureNames, Aliases: state.Aliases})
			if err != nil {
				return err
			}
			for _, h := range n.Hosts(vaults, regions) {
				fmt.Fprintf(a.Out, "%s\t%s\n", ip, h)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&ip, "ip", "127.0.0.1", "the server's `address`")
	cmd.Flags().StringSliceVar(&regions, "region", nil, "a `region` that clients put before the login host")
	return cmd
}
