package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// application is an application as the directory shows it.
type application struct {
	ID          string          `json:"id"`
	AppID       string          `json:"appId"`
	DisplayName string          `json:"displayName"`
	Passwords   []appCredential `json:"passwordCredentials"`
	Keys        []appCredential `json:"keyCredentials"`
}

// appCredential is a secret or a certificate, without its value.
type appCredential struct {
	KeyID       string    `json:"keyId"`
	DisplayName *string   `json:"displayName"`
	Thumbprint  *string   `json:"customKeyIdentifier,omitempty"`
	Start       time.Time `json:"startDateTime"`
	End         time.Time `json:"endDateTime"`
}

// signIn is what a new application signs in with. The password is shown once.
type signIn struct {
	AppID       string `json:"appId"`
	DisplayName string `json:"displayName"`
	Password    string `json:"password,omitempty"`
	Tenant      string `json:"tenant"`
	ObjectID    string `json:"objectId"`
	PrincipalID string `json:"servicePrincipalId"`
}

func (s signIn) table() table {
	t := table{head: []string{"NAME", "APP ID", "PRINCIPAL ID"}, rows: [][]string{{s.DisplayName, s.AppID, s.PrincipalID}}, key: 1}
	if s.Password != "" {
		t.head, t.rows[0] = append(t.head, "PASSWORD"), append(t.rows[0], s.Password)
	}
	return t
}

func applicationTable(all ...application) table {
	t := table{head: []string{"NAME", "APP ID", "SECRETS", "CERTIFICATES"}, key: 1}
	for _, a := range all {
		t.rows = append(t.rows, []string{a.DisplayName, a.AppID, expiries(a.Passwords), expiries(a.Keys)})
	}
	return t
}

func expiries(all []appCredential) string {
	var ends []string
	for _, c := range all {
		ends = append(ends, "until "+c.End.Format(time.DateOnly))
	}
	if len(ends) == 0 {
		return "-"
	}
	return strings.Join(ends, ", ")
}

func newAppCmd(a *app) *cobra.Command {
	cmd := noun("app", "Applications: clients that sign in with a secret, a certificate or a foreign token", []string{"apps", "application"})
	cmd.AddCommand(newAppCreateCmd(a), newAppListCmd(a), newAppShowCmd(a), newAppDeleteCmd(a), newAppResetCmd(a))
	return cmd
}

func newAppCreateCmd(a *app) *cobra.Command {
	var certificate string
	var noSecret bool
	var years int
	create := &cobra.Command{
		Use: "create NAME", Short: "Make an application with its service principal, and a secret that is shown once",
		Example: `  lanyard app create deployer
  lanyard app create builder --certificate builder.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"displayName": args[0]}
			if certificate != "" {
				key, err := readCertificate(certificate)
				if err != nil {
					return err
				}
				body["keyCredentials"] = []any{key}
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			switch {
			case certificate != "" || noSecret:
				years = 0
			case years < 1:
				return fault.WithHint(errors.New("a secret must be good for one year or more"), "--no-secret makes none")
			}
			made, err := createApp(cmd.Context(), c, body, years)
			if err != nil {
				return err
			}
			return a.print(made, made.table())
		},
	}
	f := create.Flags()
	f.StringVar(&certificate, "certificate", "", "PEM `file` with a certificate to sign in with, in place of a secret")
	f.BoolVar(&noSecret, "no-secret", false, "make no secret: for an application with federated credentials")
	f.IntVar(&years, "years", 1, "how long the secret is good")
	create.MarkFlagsMutuallyExclusive("certificate", "years")
	create.MarkFlagsMutuallyExclusive("no-secret", "years")
	return create
}

// createApp makes the application, its service principal and, with years, a
// secret. What was made is taken back when a later step fails.
func createApp(ctx context.Context, c *client.Client, body map[string]any, years int) (made signIn, err error) {
	var app application
	if err := c.Graph(ctx, "POST", "/applications", body, &app); err != nil {
		return made, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Graph(context.WithoutCancel(ctx), "DELETE", "/applications/"+app.ID, nil, nil))
		}
	}()
	made = signIn{AppID: app.AppID, DisplayName: app.DisplayName, Tenant: c.Tenant, ObjectID: app.ID}
	var principal struct {
		ID string `json:"id"`
	}
	if err := c.Graph(ctx, "POST", "/servicePrincipals", map[string]string{"appId": app.AppID}, &principal); err != nil {
		return made, err
	}
	made.PrincipalID = principal.ID
	if years > 0 {
		made.Password, err = addSecret(ctx, c, app.ID, years)
	}
	return made, err
}

func addSecret(ctx context.Context, c *client.Client, objectID string, years int) (string, error) {
	var added struct {
		SecretText string `json:"secretText"`
	}
	body := map[string]any{"passwordCredential": map[string]any{
		"displayName": "lanyard", "endDateTime": time.Now().UTC().AddDate(years, 0, 0).Format(time.RFC3339),
	}}
	err := c.Graph(ctx, "POST", "/applications/"+objectID+"/addPassword", body, &added)
	return added.SecretText, err
}

// readCertificate makes a key credential of the first certificate in a PEM file.
func readCertificate(path string) (map[string]string, error) {
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
			return map[string]string{
				"type": "AsymmetricX509Cert", "usage": "Verify", "key": base64.StdEncoding.EncodeToString(block.Bytes),
			}, nil
		}
	}
}

func newAppListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all applications", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all := []whole[application]{}
			err = c.GraphList(cmd.Context(), "/applications", func(raw json.RawMessage) error {
				var one whole[application]
				err := json.Unmarshal(raw, &one)
				all = append(all, one)
				return err
			})
			if err != nil {
				return err
			}
			return a.print(all, applicationTable(parts(all)...))
		},
	}
}

// appPath and principalPath are the directory's paths of an application with a
// client id, and of its service principal.
func appPath(appID string) string       { return "/applications(appId='" + appID + "')" }
func principalPath(appID string) string { return "/servicePrincipals(appId='" + appID + "')" }

func checkAppID(s string) error {
	if !model.ValidUUID(s) {
		return fault.WithHint(fmt.Errorf("%q is no client id", s), "lanyard app list")
	}
	return nil
}

func noApp(appID string) error {
	return fault.WithHint(fault.Absent("no application has the client id %s", appID), "lanyard app list")
}

// application finds one by its client id.
func (a *app) application(cmd *cobra.Command, appID string) (c *client.Client, got whole[application], err error) {
	if err := checkAppID(appID); err != nil {
		return nil, got, err
	}
	if c, err = a.connect(); err != nil {
		return nil, got, err
	}
	err = c.Graph(cmd.Context(), "GET", appPath(appID), nil, &got)
	if client.IsNotFound(err) {
		err = noApp(appID)
	}
	return c, got, err
}

func newAppShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show APPID", Short: "Show an application", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, got, err := a.application(cmd, args[0])
			if err != nil {
				return err
			}
			return a.print(got, applicationTable(got.is))
		},
	}
}

func newAppDeleteCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "delete APPID", Short: "Delete an application: no more tokens are issued for it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, got, err := a.application(cmd, args[0])
			if err != nil {
				return err
			}
			return c.Graph(cmd.Context(), "DELETE", "/applications/"+got.is.ID, nil, nil)
		},
	}
}

func newAppResetCmd(a *app) *cobra.Command {
	var years int
	reset := &cobra.Command{
		Use: "reset-secret APPID", Short: "Give an application a new secret, shown once, and remove those it had", Args: cobra.ExactArgs(1),
		Example: `  lanyard app reset-secret 0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10 --years 1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, found, err := a.application(cmd, args[0])
			if err != nil {
				return err
			}
			old := found.is
			var principal struct {
				ID string `json:"id"`
			}
			if err := c.Graph(ctx, "GET", principalPath(old.AppID), nil, &principal); err != nil && !client.IsNotFound(err) {
				return err
			}
			remove := func(p appCredential) error {
				return c.Graph(ctx, "POST", "/applications/"+old.ID+"/removePassword", map[string]string{"keyId": p.KeyID}, nil)
			}
			// One stays until the new one is there; the others make room for it.
			for len(old.Passwords) > 1 {
				if err := remove(old.Passwords[0]); err != nil {
					return err
				}
				old.Passwords = old.Passwords[1:]
			}
			s := signIn{AppID: old.AppID, DisplayName: old.DisplayName, Tenant: c.Tenant, ObjectID: old.ID, PrincipalID: principal.ID}
			if s.Password, err = addSecret(ctx, c, old.ID, years); err != nil {
				return err
			}
			for _, p := range old.Passwords {
				if err := remove(p); err != nil {
					return err
				}
			}
			return a.print(s, s.table())
		},
	}
	reset.Flags().IntVar(&years, "years", 1, "how long the secret is good")
	return reset
}
