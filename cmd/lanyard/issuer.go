package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/shell"
	"github.com/lanyard-io/lanyard/internal/textfile"
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

What is not named stays as it was set before. A setting alone lets nobody in: a
federated credential must name the issuer.`,
		Example: `  lanyard issuer set https://oidc.cluster-1.internal/ --ca cluster-1-ca.pem
  kubectl get --raw /openid/v1/jwks > jwks.json
  lanyard issuer set https://kubernetes.default.svc.cluster.local --jwks jwks.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := issuerProperties{URL: args[0]}
			if keysFile != "" {
				b, err := textfile.Read(keysFile)
				if err != nil {
					return err
				}
				if !json.Valid(b) {
					return fmt.Errorf("%s: not JSON", keysFile)
				}
				p.Keys = b
			}
			if rootsFile != "" {
				b, err := textfile.Read(rootsFile)
				if err != nil {
					return err
				}
				p.Roots = string(b)
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			made, err := setIssuer(cmd.Context(), c, p, cmd.Flags().Changed)
			if err != nil {
				return err
			}
			return a.print(made, issuerTable(made.is))
		},
	}
	set.Flags().StringVar(&keysFile, "jwks", "", "JSON Web Key Set `file`, in place of discovery; empty for discovery again")
	set.Flags().StringVar(&rootsFile, "ca", "", "PEM `file` with the CA of the issuer's host; empty for the system's again")
	set.MarkFlagsOneRequired("jwks", "ca")

	list := &cobra.Command{
		Use: "list", Short: "List the issuers with settings", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := listAll[whole[issuer]](cmd.Context(), c, issuersPath, lanyardVersion)
			if err != nil {
				return err
			}
			return a.print(all, issuerTable(parts(all)...))
		},
	}
	remove := &cobra.Command{
		Use: "delete URL", Short: "Forget an issuer's settings; discovery applies again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			found, err := c.Delete(cmd.Context(), issuerID(strings.TrimSpace(args[0])), lanyardVersion)
			if err == nil && !found {
				err = fault.WithHint(fmt.Errorf("the issuer %s has no settings", args[0]), "lanyard issuer list")
			}
			return err
		},
	}
	return noun("issuer", "Foreign issuers: how to trust their tokens", []string{"issuers"}, set, list, remove, newJWKSCmd(a), newPublishCmd(a))
}

// setIssuer changes the settings that were given; one that was not stays.
func setIssuer(ctx context.Context, c *client.Client, want issuerProperties, given func(flag string) bool) (made whole[issuer], err error) {
	err = client.Again(func() error {
		var old issuer
		etag, err := c.Read(ctx, issuerID(want.URL), lanyardVersion, &old)
		if err != nil && !client.IsNotFound(err) {
			return err
		}
		p := want
		if !given("jwks") {
			p.Keys = old.Properties.Keys
		}
		if !given("ca") {
			p.Roots = old.Properties.Roots
		}
		if len(p.Keys) == 0 && p.Roots == "" {
			return fault.WithHint(errors.New("that would leave no setting of the issuer"), "lanyard issuer delete "+shell.Quote(want.URL))
		}
		return c.PutIf(ctx, issuerID(want.URL), lanyardVersion, etag, issuer{Properties: p}, &made)
	})
	return made, err
}
