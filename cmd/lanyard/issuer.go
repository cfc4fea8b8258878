package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

func issuers() *things[manage.Issuer] {
	return &things[manage.Issuer]{
		noun: "issuer", in: func(c *manage.Client, _ string) manage.Collection[manage.Issuer] { return c.Issuers() },
		head: []string{"URL", "KEYS", "CA"},
		cells: func(i manage.Issuer) []string {
			keys, ca := "discovered", "system"
			if len(i.Properties.Keys) > 0 {
				keys = "uploaded"
			}
			if i.Properties.Roots != "" {
				ca = "own"
			}
			return []string{i.Properties.URL, keys, ca}
		},
	}
}

func newIssuerCmd(a *app) *cobra.Command {
	all := issuers()
	return noun("issuer", "Foreign issuers: how to trust their tokens", []string{"issuers"}, newIssuerSetCmd(a, all),
		listVerb(a, all, words{"list", "List the issuers with settings", ""}),
		deleteVerb(a, all, words{"delete URL", "Forget an issuer's settings; discovery applies again", ""}), newJWKSCmd(a), newPublishCmd(a))
}

func newIssuerSetCmd(a *app, all *things[manage.Issuer]) *cobra.Command {
	var keysFile, rootsFile string
	var set *cobra.Command
	var change manage.IssuerChange
	read := func([]string) (err error) {
		change, err = readIssuer(set, keysFile, rootsFile)
		return err
	}
	set = a.verb(words{"set URL", "Say how to trust an issuer: its private CA, or its keys", `  lanyard issuer set https://oidc.cluster-1.internal/ --ca cluster-1-ca.pem
  kubectl get --raw /openid/v1/jwks > jwks.json
  lanyard issuer set https://kubernetes.default.svc.cluster.local --jwks jwks.json`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			made, err := c.SetIssuer(cmd.Context(), args[0], change)
			if err != nil {
				return err
			}
			return all.print(a, made)
		}, read)
	set.Long = `An issuer whose discovery document is public and whose certificate the system
trusts needs no setting. For one with a private CA give --ca; for one that this
server cannot reach give its keys with --jwks.

What is not named stays as it was set before. A setting alone lets nobody in: a
federated credential must name the issuer.`
	set.Flags().StringVar(&keysFile, "jwks", "", "JSON Web Key Set `file`, in place of discovery; empty for discovery again")
	set.Flags().StringVar(&rootsFile, "ca", "", "PEM `file` with the CA of the issuer's host; empty for the system's again")
	set.MarkFlagsOneRequired("jwks", "ca")
	return set
}

// readIssuer reads the files that were named; an empty name ends a setting.
func readIssuer(cmd *cobra.Command, keysFile, rootsFile string) (change manage.IssuerChange, err error) {
	read := func(flag, file string) (text []byte, given bool) {
		if given = cmd.Flags().Changed(flag); given && file != "" && err == nil {
			text, err = textfile.Read(file)
		}
		return text, given
	}
	if keys, given := read("jwks", keysFile); given {
		change.Keys = (*json.RawMessage)(&keys)
		if keysFile != "" && err == nil && !json.Valid(keys) {
			err = fmt.Errorf("%s: not JSON", keysFile)
		}
	}
	if roots, given := read("ca", rootsFile); given {
		pem := string(roots)
		change.Roots = &pem
	}
	return change, err
}
