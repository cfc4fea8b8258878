package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/outfile"
	"github.com/lanyard-io/lanyard/internal/publish"
)

func newJWKSCmd(a *app) *cobra.Command {
	var files []string
	var output string
	var mode uint32
	cmd := &cobra.Command{
		Use: "jwks", Short: "Make a JSON Web Key Set of public keys, as kube-apiserver does",
		Long: `Make a JSON Web Key Set of the public keys in PEM files, such as the one that
kube-apiserver is given with --service-account-key-file. The ids are those that
Kubernetes writes into the tokens that it signs.`,
		Example: `  lanyard issuer jwks --public-keys sa.pub --output-file jwks.json
  lanyard issuer jwks --public-keys sa.pub,sa-old.pub`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			set, err := publish.ReadFiles(files)
			if err != nil {
				return err
			}
			text, err := set.JSON()
			if err != nil {
				return err
			}
			if output == "" || output == "-" {
				return a.printText(text)
			}
			return writeKeeping(output, text, os.FileMode(mode))
		},
	}
	cmd.Flags().StringSliceVar(&files, "public-keys", nil, "PEM `files` with the public keys, a comma between them")
	cmd.Flags().StringVar(&output, "output-file", "", "`file` to write (default standard output, as is -)")
	cmd.Flags().Uint32Var(&mode, "mode", 0o600, "permissions of a new file, such as 0644")
	cmd.MarkFlagRequired("public-keys")
	return cmd
}

// writeKeeping writes a file; one that is there keeps its permissions.
func writeKeeping(path string, text []byte, mode os.FileMode) error {
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode()
	}
	err := outfile.Write(path, mode, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	return outError(err)
}
