package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/browser"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

func newBrowserCmd(a *app) *cobra.Command {
	var c browser.Config
	cmd := &cobra.Command{
		Use:   "browser [URL] [-- FLAG...]",
		Short: "Open a browser that finds this machine's server and trusts it",
		Long: `Open an installed browser of Chromium's family (Chromium, Chrome, Edge, Brave) at a URL
of the server on this machine, with a profile of its own that is removed at the end.

Such browsers send no name below localhost through a proxy, so on the default address
they find no sign-in page by themselves. This one is told where the server's names are,
and to accept the key of the server's certificate, after that certificate was checked
with the server's CA. All other certificates are checked as ever, and your own browser
and profile stay as they are. What follows -- goes to the browser.

az login opens it with the variable BROWSER that lanyard env --browser sets.`,
		Example: `  lanyard browser
  eval "$(lanyard env --browser)" && az login
  lanyard browser https://login.lanyard.localhost/devicelogin`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				args, c.Flags = args[:at], args[at:]
			}
			if len(args) > 1 {
				return fault.WithHint(fmt.Errorf("accepts at most one URL, received %d", len(args)), cmd.CommandPath()+" --help")
			}
			if len(args) == 1 {
				c.URL = args[0]
			}
			return a.browse(cmd.Context(), c)
		},
	}
	cmd.Flags().StringVar(&c.Program, "browser", "", "the browser's `program` (default the first that is installed)")
	return cmd
}

// browse opens a browser for the data directory's server.
func (a *app) browse(ctx context.Context, c browser.Config) error {
	state, err := a.state()
	if err != nil {
		return err
	}
	if c.Names, err = state.Names(); err != nil {
		return err
	}
	if state.OwnCA {
		if c.Roots, err = textfile.Roots(server.Dir(a.dataDir).CA()); err != nil {
			return err
		}
	}
	c.Listen, c.Out, c.Err, c.Say = state.Listen, a.Out, a.Err, a.say
	return browser.Open(ctx, c)
}
