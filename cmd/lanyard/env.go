package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/sdkenv"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/shell"
)

func newEnvCmd(a *app) *cobra.Command {
	var kind string
	var admin, unset bool
	var c sdkenv.Config
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the shell lines that make clients find and trust the server",
		Long: `Print the lines that point this shell's Azure clients at the server: the proxy
through which they find its names, its CA in every runtime's own variable, and the
ARM_ variables of Terraform's azurerm provider. NO_PROXY is set so that private
addresses are still reached directly. Later lanyard commands in that shell use the
same data directory.

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
				for _, name := range sdkenv.Names() {
					fmt.Fprintln(a.Out, s.Restore(name))
				}
				return nil
			}
			return a.printEnv(s, c, admin)
		},
	}
	cmd.Flags().StringVar(&kind, "shell", "sh", "sh, fish or powershell")
	cmd.Flags().BoolVar(&admin, "admin", false, "also set AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and their ARM_ twins to the admin's")
	cmd.Flags().BoolVar(&c.Java, "java", false, "also set JDK_JAVA_OPTIONS, for clients in Java")
	cmd.Flags().BoolVar(&c.Browser, "browser", false, "also set BROWSER, so that az login opens lanyard browser")
	cmd.Flags().BoolVar(&unset, "unset", false, "print the lines that bring back what was there before")
	return cmd
}

// printEnv prints what keeps the variables' old values, then what sets them.
func (a *app) printEnv(s shell.Syntax, c sdkenv.Config, admin bool) error {
	vars, err := a.env(c, admin)
	if err != nil {
		return err
	}
	for _, v := range vars {
		fmt.Fprintln(a.Out, s.Remember(v.Name))
	}
	for _, v := range vars {
		fmt.Fprintln(a.Out, s.Set(v.Name, v.Value))
	}
	return nil
}

// env are the variables for the data directory's server.
func (a *app) env(c sdkenv.Config, admin bool) (_ []shell.Variable, err error) {
	if c.State, err = a.state(); err != nil {
		return nil, err
	}
	c.Dir = server.Dir(a.dataDir)
	if admin {
		if c.Admin, err = server.ReadAdmin(c.Dir.AdminFile()); err != nil {
			return nil, err
		}
	}
	return sdkenv.Variables(c)
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
		Use:   "hosts [[ZONE=]NAME...]",
		Short: "Print the lines for a hosts file, or the names that DNS must serve",
		Long: `Print hosts-file lines for the server's names and the given vaults. A hosts file
has no wildcards, so every vault is listed by name, and so is every region that
clients have in AZURE_REGIONAL_AUTHORITY_NAME. A NAME without a ZONE is in the zone
vault. With DNS, point *.vault.DOMAIN and *.login.DOMAIN at the server instead.`,
		Example: `  lanyard hosts kv-dev kv-test | sudo tee -a /etc/hosts
  lanyard hosts --ip 10.0.0.5 --region westeurope kv-prod`,
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := a.state()
			if err != nil {
				return err
			}
			if net.ParseIP(ip) == nil {
				return fmt.Errorf("ip %q: want an address", ip)
			}
			n, err := state.Names()
			if err != nil {
				return err
			}
			things, err := n.Zoned(args)
			if err != nil {
				return err
			}
			for _, h := range n.HostNames(things, regions) {
				fmt.Fprintf(a.Out, "%s\t%s\n", ip, h)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&ip, "ip", "127.0.0.1", "the server's `address`")
	cmd.Flags().StringSliceVar(&regions, "region", nil, "a `region` that clients put before the login host")
	return cmd
}
