package main

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"
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

func newCredentialCmd(a *app) *cobra.Command {
	var t target
	var owner string
	cmd := noun("credential", "Federated credentials: which foreign tokens may stand for an identity", []string{"credentials"})
	addTarget(cmd.PersistentFlags(), &t)
	cmd.PersistentFlags().StringVarP(&owner, "identity", "i", "", "`name` of the identity")
	cmd.MarkPersistentFlagRequired("identity")

	call := func(cmd *cobra.Command, method, name string, body, answer any) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		id := t.identityID(c, owner) + "/federatedIdentityCredentials/" + url.PathEscape(name)
		return c.ARM(cmd.Context(), method, id, identityVersion, body, answer)
	}

	var p credentialProperties
	var match, audience string
	create := &cobra.Command{
		Use: "create NAME", Short: "Trust an issuer's tokens for one subject, or for all that match an expression",
		Example: `  lanyard credential create quick-start --identity workshop-identity \
      --issuer https://oidc.example.org/cluster-1/ \
      --subject system:serviceaccount:default:workload-identity-sa
  lanyard credential create any-in-team-a --identity workshop-identity \
      --issuer https://oidc.example.org/cluster-1/ \
      --match "claims['sub'] matches 'system:serviceaccount:team-a:*'"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.Audiences = []string{audience}
			if match != "" {
				p.Expression = &expression{Value: match, LanguageVersion: 1}
			}
			var made credential
			body := map[string]any{"properties": p}
			if err := call(cmd, "PUT", args[0], body, &made); err != nil {
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

	show := &cobra.Command{
		Use: "show NAME", Short: "Show a federated credential", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var got credential
			if err := call(cmd, "GET", args[0], nil, &got); err != nil {
				return err
			}
			return a.print(got, credentialTable(got))
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List an identity's federated credentials", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := listAll[credential](cmd.Context(), c, t.identityID(c, owner)+"/federatedIdentityCredentials", identityVersion)
			if err != nil {
				return err
			}
			return a.print(all, credentialTable(all...))
		},
	}
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete a federated credential", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return call(cmd, "DELETE", args[0], nil, nil) },
	}
	cmd.AddCommand(create, show, list, remove)
	return cmd
}
