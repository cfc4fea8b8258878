package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/table"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

func applications() *things[manage.Application] {
	return &things[manage.Application]{
		noun: "application", in: func(c *manage.Client, _ string) manage.Collection[manage.Application] { return c.Applications() },
		head: []string{"NAME", "APP ID", "SECRETS", "CERTIFICATES"}, key: 1, checks: []func([]string) error{checkAppID},
		cells: func(a manage.Application) []string {
			return []string{a.DisplayName, a.AppID, expiries(a.Passwords), expiries(a.Keys)}
		},
	}
}

func expiries(all []manage.AppKey) string {
	var ends []string
	for _, c := range all {
		ends = append(ends, "until "+c.End.Format(time.DateOnly))
	}
	if len(ends) == 0 {
		return "-"
	}
	return strings.Join(ends, ", ")
}

func (a *app) printSignIn(s manage.SignIn, err error) error {
	if err != nil {
		return err
	}
	t := table.Table{Head: []string{"NAME", "APP ID", "PRINCIPAL ID"}, Rows: [][]string{{s.DisplayName, s.AppID, s.PrincipalID}}, Key: 1}
	if s.Password != "" {
		t.Head, t.Rows[0] = append(t.Head, "PASSWORD"), append(t.Rows[0], s.Password)
	}
	return a.print(s, t)
}

func newAppCmd(a *app) *cobra.Command {
	all := applications()
	return noun("app", "Applications: clients that sign in with a secret, a certificate or a foreign token", []string{"apps", "application"},
		newAppCreateCmd(a),
		listVerb(a, all, words{"list", "List all applications", ""}),
		showVerb(a, all, words{"show APPID", "Show an application", ""}),
		deleteVerb(a, all, words{"delete APPID", "Delete an application: no more tokens are issued for it", ""}),
		newAppResetCmd(a))
}

func newAppCreateCmd(a *app) *cobra.Command {
	var certificate string
	var noSecret bool
	var want manage.NewApp
	create := a.verb(words{"create NAME", "Make an application with its service principal, and a secret that is shown once", `  lanyard app create deployer
  lanyard app create builder --certificate builder.pem`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			want.Name = args[0]
			switch {
			case certificate != "" || noSecret:
				want.Years = 0
			case want.Years < 1:
				return fault.WithHint(errors.New("a secret must be good for one year or more"), "--no-secret makes none")
			}
			return a.printSignIn(c.CreateApp(cmd.Context(), want))
		}, func([]string) (err error) {
			if certificate != "" {
				want.Certificate, err = readCertificate(certificate)
			}
			return err
		})
	f := create.Flags()
	f.StringVar(&certificate, "certificate", "", "PEM `file` with a certificate to sign in with, in place of a secret")
	f.BoolVar(&noSecret, "no-secret", false, "make no secret: for an application with federated credentials")
	f.IntVar(&want.Years, "years", 1, "how long the secret is good")
	create.MarkFlagsMutuallyExclusive("certificate", "years")
	create.MarkFlagsMutuallyExclusive("no-secret", "years")
	return create
}

// readCertificate is the first certificate in a PEM file.
func readCertificate(path string) ([]byte, error) {
	rest, err := textfile.Read(path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("%s: no PEM certificate in it", path)
		}
		if block.Type == "CERTIFICATE" {
			return block.Bytes, nil
		}
	}
}

// checkAppID is for before the server is asked.
func checkAppID(args []string) error {
	if len(args) > 0 && !model.ValidUUID(args[0]) {
		return fault.WithHint(fmt.Errorf("%q is no client id", args[0]), "lanyard app list")
	}
	return nil
}

func newAppResetCmd(a *app) *cobra.Command {
	var years int
	reset := a.verb(words{"reset-secret APPID", "Give an application a new secret, shown once, and remove those it had", `  lanyard app reset-secret 0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10 --years 1`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			return a.printSignIn(c.ResetSecret(cmd.Context(), args[0], years))
		}, checkAppID)
	reset.Flags().IntVar(&years, "years", 1, "how long the secret is good")
	return reset
}
