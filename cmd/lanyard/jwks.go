package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/outfile"
	"github.com/lanyard-io/lanyard/internal/publish"
	"github.com/lanyard-io/lanyard/internal/textfile"
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
			set, err := readPublicKeys(files)
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

// readPublicKeys makes one set of the keys in some PEM files.
func readPublicKeys(files []string) (publish.Set, error) {
	var set publish.Set
	for _, path := range files {
		text, err := textfile.Read(path)
		if err != nil {
			return set, err
		}
		keys, err := publish.ParsePEM(text)
		if err != nil {
			return set, fault.WithHint(fmt.Errorf("%s: %w", path, err), "give the PEM file of --service-account-key-file, or make one: openssl pkey -in KEY -pubout")
		}
		set.Add(keys...)
	}
	if len(set.Keys) == 0 {
		return set, errors.New("no public key is named")
	}
	return set, nil
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
