package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/model"
)

// issuer is how to trust a foreign issuer, as the management API shows it.
type issuer struct {
	ID         string           `json:"id,omitempty"`
	Name       string           `json:"name,omitempty"`
	Properties issuerProperties `json:"properties"`
}

type issuerProperties struct {
	URL   string          `json:"url"`
	Keys  json.RawMessage `json:"keys,omitempty"`  // a JWKS
	Roots string          `json:"roots,omitempty"` // PEM
}

func issuerTable(all ...issuer) table {
	t := table{head: []string{"URL", "KEYS", "CA"}}
	for _, i := range all {
		keys, ca := "discovered", "system"
		if len(i.Properties.Keys) > 0 {
			keys = "uploaded"
		}
		if i.Properties.Roots != "" {
			ca = "own"
		}
		t.rows = append(t.rows, []string{i.Properties.URL, keys, ca})
	}
	return t
}

const issuersPath = "/providers/Lanyard.Trust/issuers"

func issuerID(url string) string { return "/providers/Lanyard.Trust" + model.IssuerKey(url) }

func newIssuerCmd(a *app) *cobra.Command {
	var keysFile, rootsFile string
	set := &cobra.Command{
		Use: "set URL", Short: "Say how to trust an issuer: its private CA, or its keys",
		Long: `An issuer whose discovery document is public and whose certificate the system
trusts needs no setting. For one with a private CA give --ca; for one that this
server cannot reach give its keys with --jwks.

A setting alone lets nobody in: a federated credential must name the issuer.`,
		Example: `  lanyard issuer set https://oidc.cluster-1.internal/ --ca cluster-1-ca.pem
  kubectl get --raw /openid/v1/jwks > jwks.json
  lanyard issuer set https://kubernetes.default.svc.cluster.local --jwks jwks.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			i := issuer{Properties: issuerProperties{URL: args[0]}}
			if keysFile != "" {
				b, err := os.ReadFile(keysFile)
				if err != nil {
					return err
				}
				if !json.Valid(b) {
					return fmt.Errorf("%s: not JSON", keysFile)
				}
				i.Properties.Keys = b
			}
			if rootsFile != "" {
				b, err := os.ReadFile(rootsFile)
				if err != nil {
					return err
				}
				i.Properties.Roots = string(b)
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			var made issuer
			if err := c.ARM(cmd.Context(), "PUT", issuerID(args[0]), lanyardVersion, i, &made); err != nil {
				return err
			}
			return a.print(made, issuerTable(made))
		},
	}
	set.Flags().StringVar(&keysFile, "jwks", "", "JSON Web Key Set `file`, in place of discovery")
	set.Flags().StringVar(&rootsFile, "ca", "", "PEM `file` with the CA of the issuer's host")
	set.MarkFlagsOneRequired("jwks", "ca")

	list := &cobra.Command{
		Use: "list", Short: "List the issuers with settings", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := listAll[issuer](cmd.Context(), c, issuersPath, lanyardVersion)
			if err != nil {
				return err
			}
			return a.print(all, issuerTable(all...))
		},
	}
	remove := &cobra.Command{
		Use: "delete URL", Short: "Forget an issuer's settings; discovery applies again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			return c.ARM(cmd.Context(), "DELETE", issuerID(strings.TrimSpace(args[0])), lanyardVersion, nil, nil)
		},
	}
	return noun("issuer", "Foreign issuers: how to trust their tokens", []string{"issuers"}, set, list, remove, newJWKSCmd(a), newPublishCmd(a))
}
