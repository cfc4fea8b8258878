package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/outfile"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/prompt"
	"github.com/lanyard-io/lanyard/internal/server"
)

// newCACmd and newAdminCmd print files of the data directory, which may be in a
// container without a shell.
func newCACmd(a *app) *cobra.Command {
	var bundle, pkcs12 bool
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Print the certificate of the server's own CA",
		Long: `Print the PEM certificate of the server's own CA, and of earlier ones. With
--bundle the system's CAs are among them, for clients whose setting replaces what
they trust. With --pkcs12 they are in the form that Java takes as
javax.net.ssl.trustStore; it has no password.`,
		Example: `  lanyard ca > ca.pem
  lanyard ca --bundle > ca-bundle.pem
  lanyard ca --bundle --pkcs12 > truststore.p12`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path := server.Dir(a.dataDir).CA()
			if bundle {
				path = server.Dir(a.dataDir).Bundle()
			}
			b, err := readDataFile(path, "a server with --tls-cert has no CA of its own; else start one with `lanyard up`")
			if err == nil && pkcs12 {
				b, err = pki.Truststore(b)
				return a.printBytes(b, err)
			}
			if err != nil {
				return err
			}
			return a.printText(b)
		},
	}
	cmd.Flags().BoolVar(&bundle, "bundle", false, "with the system's CAs")
	cmd.Flags().BoolVar(&pkcs12, "pkcs12", false, "as a truststore for Java")
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
			b, err := readDataFile(server.Dir(a.dataDir).AdminFile(), "it is on the replica that started first; `lanyard up --new-admin` makes another")
			if err != nil {
				return err
			}
			return a.printText(b)
		},
	}
}

func readDataFile(path, hint string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.WithHint(fmt.Errorf("no file %s", path), hint)
	}
	return b, err
}

// printBytes writes bytes that are no text: a terminal is spared them.
func (a *app) printBytes(b []byte, err error) error {
	if err == nil {
		err = a.noTerminal()
	}
	if err == nil {
		_, err = a.Out.Write(b)
	}
	return err
}

func (a *app) noTerminal() error {
	if prompt.IsTerminal(a.Out) {
		return fault.WithHint(errors.New("this is not for a terminal"), "write it to a file: add > FILE")
	}
	return nil
}

// printText ends what it writes with the end of a line.
func (a *app) printText(b []byte) error {
	if !bytes.HasSuffix(b, []byte("\n")) {
		b = append(slices.Clip(b), '\n')
	}
	_, err := a.Out.Write(b)
	return err
}

// outError says where else to write.
func outError(err error) error {
	if errors.Is(err, outfile.ErrNoFile) {
		return fault.WithHint(err, "name a file, or - for standard output")
	}
	return err
}
