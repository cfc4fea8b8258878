package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/shell"
	"github.com/lanyard-io/lanyard/internal/wi"
)

func newCredentialCmd(a *app) *cobra.Command {
	var o credentialOwner
	cmd := noun("credential", "Federated credentials: which foreign tokens may stand for an identity or an application", []string{"credentials"})
	f := cmd.PersistentFlags()
	addTarget(f, &o.target)
	f.StringVarP(&o.identity, "identity", "i", "", "`name` of the identity")
	f.StringVar(&o.app, "app", "", "or the client `id` of the application")
	cmd.MarkFlagsOneRequired("identity", "app")
	cmd.MarkFlagsMutuallyExclusive("identity", "app")
	cmd.AddCommand(newCredentialCreateCmd(a, &o), newCredentialUpdateCmd(a, &o), newCredentialShowCmd(a, &o), newCredentialListCmd(a, &o), newCredentialDeleteCmd(a, &o))
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
		Long: `Let one foreign token stand for an identity or an application. A credential that
exists is left as it is; when it says something else, the command fails, and
lanyard credential update changes it.`,
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
			got, made, err := o.create(cmd.Context(), c, args[0], p)
			if err != nil {
				return err
			}
			if !made {
				if how, flags := got.is.differs(p); how != "" {
					return differs("credential", args[0], how, "to change it: "+o.updateCommand(args[0])+flags)
				}
				a.stays("credential", args[0])
			}
			return a.print(got, credentialTable(got.is))
		},
	}
	f := create.Flags()
	f.StringVar(&p.Issuer, "issuer", "", "the token's issuer, exactly as in iss, a trailing slash included")
	f.StringVar(&p.Subject, "subject", "", "the token's subject, exactly as in sub")
	f.StringVar(&match, "match", "", "`expression` over the claims, in place of --subject")
	f.StringVar(&audience, "audience", wi.Audience, "the token's audience")
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
			got, _, err := o.show(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return a.print(got, credentialTable(got.is))
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
			return a.print(all, credentialTable(parts(all)...))
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

// credentialUpdate is what is to change: nil stays.
type credentialUpdate struct {
	issuer, subject, match, audience *string
}

func (u credentialUpdate) apply(p credentialProperties) credentialProperties {
	if u.issuer != nil {
		p.Issuer = *u.issuer
	}
	if u.subject != nil {
		p.Subject, p.Expression = *u.subject, nil
	}
	if u.match != nil {
		p.Subject, p.Expression = "", &expression{Value: *u.match, LanguageVersion: 1}
	}
	if u.audience != nil {
		p.Audiences = []string{*u.audience}
	}
	return p
}

// patch is the same for the directory, where a subject takes the place of an
// expression, and the other way round.
func (u credentialUpdate) patch() map[string]any {
	p := map[string]any{}
	if u.issuer != nil {
		p["issuer"] = *u.issuer
	}
	if u.subject != nil {
		p["subject"] = *u.subject
	}
	if u.match != nil {
		p["claimsMatchingExpression"] = expression{Value: *u.match, LanguageVersion: 1}
	}
	if u.audience != nil {
		p["audiences"] = []string{*u.audience}
	}
	return p
}

func newCredentialUpdateCmd(a *app, o *credentialOwner) *cobra.Command {
	var issuer, subject, match, audience string
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change what is named of a federated credential; the rest stays",
		Example: `  lanyard credential update quick-start --identity workshop-identity \
      --subject system:serviceaccount:default:other-sa`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := func(name string, value *string) *string {
				if cmd.Flags().Changed(name) {
					return value
				}
				return nil
			}
			c, err := a.connectFor(o)
			if err != nil {
				return err
			}
			got, err := o.update(cmd.Context(), c, args[0], credentialUpdate{
				given("issuer", &issuer), given("subject", &subject), given("match", &match), given("audience", &audience),
			})
			if err != nil {
				return err
			}
			return a.print(got, credentialTable(got.is))
		},
	}
	f := cmd.Flags()
	f.StringVar(&issuer, "issuer", "", "the token's issuer, exactly as in iss")
	f.StringVar(&subject, "subject", "", "the token's subject, exactly as in sub; in place of an expression")
	f.StringVar(&match, "match", "", "`expression` over the claims, in place of a subject")
	f.StringVar(&audience, "audience", "", "the token's audience")
	cmd.MarkFlagsOneRequired("issuer", "subject", "match", "audience")
	cmd.MarkFlagsMutuallyExclusive("subject", "match")
	return cmd
}

// updateCommand is what a person types to change a credential.
func (o *credentialOwner) updateCommand(name string) string {
	command := "lanyard credential update " + shell.Quote(name)
	if o.app != "" {
		return command + " --app " + o.app
	}
	command += " --identity " + shell.Quote(o.identity)
	if o.group != defaultGroup {
		command += " -g " + shell.Quote(o.group)
	}
	return command
}

// differs says in what a credential is not the wanted one, and the flags that would
// change it; both are empty when it is.
func (c credential) differs(want credentialProperties) (how, flags string) {
	have := c.Properties
	differ := func(what, flag, has, wants string) {
		if has == wants {
			return
		}
		if how == "" {
			how = "the " + what + " " + has
		}
		if wants != "" {
			flags += " --" + flag + " " + shell.Quote(wants)
		}
	}
	match := func(e *expression) string {
		if e == nil {
			return ""
		}
		return e.Value
	}
	differ("issuer", "issuer", have.Issuer, want.Issuer)
	if have.Expression != nil {
		differ("expression", "match", match(have.Expression), match(want.Expression))
		differ("subject", "subject", have.Subject, want.Subject)
	} else {
		differ("subject", "subject", have.Subject, want.Subject)
		differ("expression", "match", "", match(want.Expression))
	}
	differ("audience", "audience", strings.Join(have.Audiences, " "), strings.Join(want.Audiences, " "))
	return how, flags
}
