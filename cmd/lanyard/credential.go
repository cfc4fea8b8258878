package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/shell"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// credentialOwner is whose federated credentials a command is about: an identity or
// an application.
type credentialOwner struct {
	target
	identity, app string
}

func (o *credentialOwner) of(c *manage.Client) manage.Credentials {
	if o.app != "" {
		return c.AppCredentials(o.app)
	}
	return c.Credentials(o.group, o.identity)
}

// check is for before the server is asked.
func (o *credentialOwner) check([]string) error {
	if o.app != "" {
		return checkAppID([]string{o.app})
	}
	return nil
}

func (o *credentialOwner) credentials() *things[manage.Credential] {
	return &things[manage.Credential]{
		noun: "credential", in: func(c *manage.Client, _ string) manage.Collection[manage.Credential] { return o.of(c).Collection },
		head: []string{"NAME", "ISSUER", "SUBJECT", "AUDIENCE"}, checks: []func([]string) error{o.check},
		cells: func(c manage.Credential) []string {
			subject := c.Properties.Subject
			if c.Properties.Expression != nil {
				subject = c.Properties.Expression.Value
			}
			return []string{c.Name, c.Properties.Issuer, subject, strings.Join(c.Properties.Audiences, " ")}
		},
	}
}

func newCredentialCmd(a *app) *cobra.Command {
	var o credentialOwner
	all := o.credentials()
	cmd := noun("credential", "Federated credentials: which foreign tokens may stand for an identity or an application", []string{"credentials"})
	f := cmd.PersistentFlags()
	addTarget(f, &o.target)
	f.StringVarP(&o.identity, "identity", "i", "", "`name` of the identity")
	f.StringVar(&o.app, "app", "", "or the client `id` of the application")
	cmd.MarkFlagsOneRequired("identity", "app")
	cmd.MarkFlagsMutuallyExclusive("identity", "app")
	cmd.AddCommand(newCredentialCreateCmd(a, &o, all), newCredentialUpdateCmd(a, &o, all),
		showVerb(a, all, words{"show NAME", "Show a federated credential", ""}),
		listVerb(a, all, words{"list", "List the federated credentials of an identity or an application", ""}),
		deleteVerb(a, all, words{"delete NAME", "Delete a federated credential", ""}))
	return cmd
}

func newCredentialCreateCmd(a *app, o *credentialOwner, all *things[manage.Credential]) *cobra.Command {
	var p manage.CredentialProperties
	var match, audience string
	create := a.verb(words{"create NAME", "Trust an issuer's tokens for one subject, or for all that match an expression", `  lanyard credential create quick-start --identity workshop-identity \
      --issuer https://oidc.example.org/cluster-1/ \
      --subject system:serviceaccount:default:workload-identity-sa
  lanyard credential create any-in-team-a --identity workshop-identity \
      --issuer https://oidc.example.org/cluster-1/ \
      --match "claims['sub'] matches 'system:serviceaccount:team-a:*'"
  lanyard credential create production --app 0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10 \
      --issuer https://token.actions.githubusercontent.com \
      --subject repo:octo-org/octo-repo:environment:prod`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			p.Audiences = []string{audience}
			if match != "" {
				p.Expression = manage.NewExpression(match)
			}
			got, made, err := o.of(c).Create(cmd.Context(), args[0], p)
			if err != nil {
				return err
			}
			return all.created(a, args[0], got, made, func(have manage.Credential) error {
				how, flags := have.Properties.Differs(p)
				if how == "" {
					return nil
				}
				return differs("credential", args[0], how, "to change it: "+o.updateCommand(args[0])+flags)
			})
		}, o.check)
	create.Long = `Let one foreign token stand for an identity or an application. A credential that
exists is left as it is; when it says something else, the command fails, and
lanyard credential update changes it.`
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

func newCredentialUpdateCmd(a *app, o *credentialOwner, all *things[manage.Credential]) *cobra.Command {
	var issuer, subject, match, audience string
	update := a.verb(words{"update NAME", "Change what is named of a federated credential; the rest stays", `  lanyard credential update quick-start --identity workshop-identity \
      --subject system:serviceaccount:default:other-sa`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			given := func(name string, value *string) *string {
				if cmd.Flags().Changed(name) {
					return value
				}
				return nil
			}
			got, err := o.of(c).Update(cmd.Context(), args[0], manage.CredentialChange{
				Issuer: given("issuer", &issuer), Subject: given("subject", &subject), Match: given("match", &match), Audience: given("audience", &audience),
			})
			if err != nil {
				return err
			}
			return all.print(a, got)
		}, o.check)
	f := update.Flags()
	f.StringVar(&issuer, "issuer", "", "the token's issuer, exactly as in iss")
	f.StringVar(&subject, "subject", "", "the token's subject, exactly as in sub; in place of an expression")
	f.StringVar(&match, "match", "", "`expression` over the claims, in place of a subject")
	f.StringVar(&audience, "audience", "", "the token's audience")
	update.MarkFlagsOneRequired("issuer", "subject", "match", "audience")
	update.MarkFlagsMutuallyExclusive("subject", "match")
	return update
}

// updateCommand is what a person types to change a credential.
func (o *credentialOwner) updateCommand(name string) string {
	command := "lanyard credential update " + shell.Quote(name)
	if o.app != "" {
		return command + " --app " + o.app
	}
	command += " --identity " + shell.Quote(o.identity)
	if o.group != manage.DefaultGroup {
		command += " -g " + shell.Quote(o.group)
	}
	return command
}
