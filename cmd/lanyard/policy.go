package main

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/table"
)

func newPolicyCmd(a *app) *cobra.Command {
	var h holder
	cmd := noun("policy", "Access policies: who may do what in a vault", []string{"policies"})
	addTarget(cmd.PersistentFlags(), &h.target)

	var secrets []string
	set := a.holderVerb(&h, words{"set VAULT", "Give a principal permissions for secrets, in place of those it had", `  lanyard policy set kv-dev --identity workshop-identity --secrets get
  lanyard policy set kv-dev --user alice --secrets get,list
  lanyard policy set kv-dev --app 0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10`},
		func(ctx context.Context, c *manage.Client, vault, principal string) error {
			if err := c.SetPolicy(ctx, h.group, vault, principal, secrets...); err != nil {
				return err
			}
			return a.printPolicies(ctx, c, h.group, vault)
		})
	set.Flags().StringSliceVar(&secrets, "secrets", []string{"get"}, "`permissions`: get, list, set, delete, recover, backup, restore, purge or all")
	remove := a.holderVerb(&h, words{"delete VAULT", "Take a principal's permissions away", `  lanyard policy delete kv-dev --identity workshop-identity`},
		func(ctx context.Context, c *manage.Client, vault, principal string) error {
			had, err := c.RemovePolicy(ctx, h.group, vault, principal)
			if err == nil && !had {
				err = fault.WithHint(fault.Absent("the vault %s has no access policy of %s", vault, &h), "lanyard policy list "+vault)
			}
			if err != nil {
				return err
			}
			return a.printPolicies(ctx, c, h.group, vault)
		})
	list := a.verb(words{"list VAULT", "List a vault's access policies", ""}, func(cmd *cobra.Command, c *manage.Client, args []string) error {
		return a.printPolicies(cmd.Context(), c, h.group, args[0])
	})
	cmd.AddCommand(set, remove, list)
	return cmd
}

func (a *app) printPolicies(ctx context.Context, c *manage.Client, group, vault string) error {
	all, roles, err := c.Policies(ctx, group, vault)
	if err != nil {
		return err
	}
	if roles {
		a.say("the vault %s uses roles: its access policies count for nothing; lanyard role list shows who may", vault)
	}
	var ids []string
	for _, p := range all {
		ids = append(ids, p.Is.ObjectID)
	}
	names := c.PrincipalNames(ctx, ids)
	t := table.Table{Head: []string{"NAME", "OBJECT ID", "SECRETS"}, Key: 1}
	for _, p := range all {
		t.Rows = append(t.Rows, []string{cmp.Or(names[p.Is.ObjectID], "-"), p.Is.ObjectID, strings.Join(p.Is.Permissions.Secrets, ",")})
	}
	return a.print(all, t)
}
