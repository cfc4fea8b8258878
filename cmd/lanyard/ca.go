package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/server"
)

// newCACmd and newAdminCmd print files of the data directory, which may be in a
// container without a shell.
func newCACmd(a *app) *cobra.Command {
	var bundle bool
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Print the certificate of the server's own CA",
		Long: `Print the PEM certificate of the server's own CA, and of earlier ones. With
--bundle the system's CAs are among them, for clients whose setting replaces what
they trust.`,
		Example: `  lanyard ca > ca.pem
  lanyard ca --bundle > ca-bundle.pem`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path := server.Dir(a.dataDir).CA()
			if bundle {
				path = server.Dir(a.dataDir).Bundle()
			}
			return a.printFile(path, "a server with --tls-cert has no CA of its own; else start one with `lanyard up`")
		},
	}
	cmd.Flags().BoolVar(&bundle, "bundle", false, "with the system's CAs")
	return cmd
}

func newAdminCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "admin",
		Short: "Print the admin's credentials, secret included",
		Long: `Print admin.json, which --credentials of a command line on another machine
takes. Whoever has it may do everything.`,
		Example: `  lanyard admin > admin.json         # keep it to yourself`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.printFile(server.Dir(a.dataDir).AdminFile(), "it is on the replica that started first; `lanyard up --new-admin` makes another")
		},
	}
}

func (a *app) printFile(path, hint string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("no file %s", path), hint)
	}
	if err == nil {
		_, err = a.Out.Write(b)
	}
	return err
}
