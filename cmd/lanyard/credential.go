package main

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
)

// credential is a federated credential as ARM shows it.
type credential struct {
	ID         string               `json:"id"`
	Name       string               `json:"name"`
	Properties credentialProperties `json:"properties"`
}

type credentialProperties struct {
	Issuer     string      `json:"issuer"`
	Subject    string      `json:"subject,omitempty"`
	Audiences  []string    `json:"audiences"`
	Expression *expression `json:"claimsMatchingExpression,omitempty"`
}

type expression struct {
	Value           string `json:"value"`
	LanguageVersion int    `json:"languageVersion"`
}

func credentialTable(all ...credential) table {
	t := table{head: []string{"NAME", "ISSUER", "SUBJECT", "AUDIENCE"}}
	for _, c := range all {
		subject := c.Properties.Subject
		if c.Properties.Expression != nil {
			subject = c.Properties.Expression.Value
		}
		t.rows = append(t.rows, []string{c.Name, c.Properties.Issuer, subject, strings.Join(c.Properties.Audiences, " ")})
	}
	return t
}

// credentialOwner is whose federated credentials a command is about: an identity,
// whose are resources, or an application, whose are in the directory.
type credentialOwner struct {
	target
	identity, app string
}

// directoryCredential is one as the directory shows it.
type directoryCredential struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	credentialProperties
}

func (d directoryCredential) credential() credential {
	return credential{ID: d.ID, Name: d.Name, Properties: d.credentialProperties}
}

func (o *credentialOwner) resource(c *client.Client) string {
	return o.identityID(c, o.identity) + "/federatedIdentityCredentials"
}

func (o *credentialOwner) directory() string {
	return appPath(o.app) + "/federatedIdentityCredentials"
}

// check is for before the server is asked.
func (o *credentialOwner) check() error {
	if o.app != "" {
		return checkAppID(o.app)
	}
	return nil
}

func (o *credentialOwner) create(ctx context.Context, c *client.Client, name string, p credentialProperties) (credential, error) {
	if o.app != "" {
		var made directoryCredential
		err := c.Graph(ctx, "POST", o.directory(), directoryCredential{Name: name, credentialProperties: p}, &made)
		return made.credential(), err
	}
	var made credential
	err := c.ARM(ctx, "PUT", o.resource(c)+"/"+url.PathEscape(name), identityVersion, map[string]any{"properties": p}, &made)
	return made, err
}

func (o *credentialOwner) show(ctx context.Context, c *client.Client, name string) (credential, error) {
	if o.app != "" {
		var got directoryCredential
		err := c.Graph(ctx, "GET", o.directory()+"/"+url.PathEscape(name), nil, &got)
		return got.credential(), err
	}
	var got credential
	err := c.ARM(ctx, "GET", o.resource(c)+"/"+url.PathEscape(name), identityVersion, nil, &got)
	return got, err
}

func (o *credentialOwner) list(ctx context.Context, c *client.Client) ([]credential, error) {
	if o.app == "" {
		return listAll[credential](ctx, c, o.resource(c), identityVersion)
	}
	all := []credential{}
	err := c.GraphList(ctx, o.directory(), func(raw json.RawMessage) error {
		var one directoryCredential
		err := json.Unmarshal(raw, &one)
		all = append(all, one.credential())
		return err
	})
	return all, err
}

func (o *credentialOwner) remove(ctx context.Context, c *client.Client, name string) error {
	if o.app != "" {
		return c.Graph(ctx, "DELETE", o.directory()+"/"+url.PathEscape(name), nil, nil)
	}
	return c.ARM(ctx, "DELETE", o.resource(c)+"/"+url.PathEscape(name), identityVersion, nil, nil)
}

func newCredentialCmd(a *app) *cobra.Command {
	var o credentialOwner
	cmd := noun("credential", "Federated credentials: which foreign tokens may stand for an identity or an application", []string{"credentials"})
	f := cmd.PersistentFlags()
	addTarget(f, &o.target)
	f.StringVarP(&o.identity, "identity", "i", "", "`name` of the identity")
	f.StringVar(&o.app, "app", "", "or the client `id` of the application")
	cmd.MarkFlagsOneRequired("identity", "app")
	cmd.MarkFlagsMutuallyExclusive("identity", "app")
	cmd.AddCommand(newCredentialCreateCmd(a, &o), newCredentialShowCmd(a, &o), newCredentialListCmd(a, &o), newCredentialDeleteCmd(a, &o))
	return cmd
}

// connectFor checks whose credentials are meant, and connects.
func (a *app) connectFor(o *credentialOwner) (*client.Client, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return a.connect()
}

func newCredentialCreateCmd(a *app, o *credentialOwner) *cobra.Command {
	var p credentialProperties
	var match, audience string
	create := &cobra.Command{
		Use: "create NAME", Short: "Trust an issuer's tokens for one subject, or for all that match an expression",
		Example: `  lanyard credential create quick-start --identity workshop-identity \
      --issuer https://oidc.example.org/cluster-1/ \
      --subject system:serviceaccount:default:workload-identity-sa
  lanyard credential create any-in-team-a --identity workshop-identity \
      --issuer https://oidc.example.org/cluster-1/ \
      --match "claims['sub'] matches 'system:serviceaccount:team-a:*'"
  lanyard credential create production --app 0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10 \
      --issuer https://token.actions.githubusercontent.com \
      --subject repo:octo-org/octo-repo:environment:prod`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.Audiences = []string{audience}
			if match != "" {
				p.Expression = &expression{Value: match, LanguageVersion: 1}
			}
			c, err := a.connectFor(o)
			if err != nil {
				return err
			}
			made, err := o.create(cmd.Context(), c, args[0], p)
			if err != nil {
				return err
			}
			return a.print(made, credentialTable(made))
		},
	}
	f := create.Flags()
	f.StringVar(&p.Issuer, "issuer", "", "the token's issuer, exactly as in iss, a trailing slash included")
	f.StringVar(&p.Subject, "subject", "", "the token's subject, exactly as in sub")
	f.StringVar(&match, "match", "", "`expression` over the claims, in place of --subject")
	f.StringVar(&audience, "audience", "api://AzureADTokenExchange", "the token's audience")
	create.MarkFlagRequired("issuer")
	create.MarkFlagsOneRequired("subject", "match")
	create.MarkFlagsMutuallyExclusive("subject", "match")
	return create
}

func newCredentialShowCmd(a *app, o *credentialOwner) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a federated credential", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connectFor(o)
			if err != nil {
				return err
			}
			got, err := o.show(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return a.print(got, credentialTable(got))
		},
	}
}

func newCredentialListCmd(a *app, o *credentialOwner) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the federated credentials of an identity or an application", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connectFor(o)
			if err != nil {
				return err
			}
			all, err := o.list(cmd.Context(), c)
			if err != nil {
				return err
			}
			return a.print(all, credentialTable(all...))
		},
	}
}

func newCredentialDeleteCmd(a *app, o *credentialOwner) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a federated credential", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connectFor(o)
			if err != nil {
				return err
			}
			return o.remove(cmd.Context(), c, args[0])
		},
	}
}
