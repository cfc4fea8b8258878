package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanyard-io/lanyard/internal/manage"
)

func identities() *things[manage.Identity] {
	return &things[manage.Identity]{
		noun: "identity", in: (*manage.Client).Identities,
		head: []string{"NAME", "CLIENT ID", "PRINCIPAL ID", "ID"},
		cells: func(i manage.Identity) []string {
			return []string{i.Name, i.Properties.ClientID, i.Properties.PrincipalID, i.ID}
		},
	}
}

func addTarget(f *pflag.FlagSet, t *target) {
	f.StringVarP(&t.group, "resource-group", "g", manage.DefaultGroup, "resource `group`")
	f.StringVarP(&t.location, "location", "l", manage.DefaultLocation, "`location` written on new resources")
}

func newIdentityCmd(a *app) *cobra.Command {
	var t target
	all := identities()
	cmd := noun("identity", "Managed identities: who a workload can be", []string{"identities"})
	addTarget(cmd.PersistentFlags(), &t)
	create := a.verb(words{"create NAME", "Make an identity, or show it if it exists", `  lanyard identity create workshop-identity`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			if err := c.EnsureGroup(cmd.Context(), t.group, t.location); err != nil {
				return err
			}
			got, made, err := c.Identities(t.group).Create(cmd.Context(), args[0], manage.Identity{Location: t.location})
			if err != nil {
				return err
			}
			return all.created(a, args[0], got, made, func(i manage.Identity) error { return otherLocation(cmd, "identity", args[0], i.Location) })
		})
	cmd.AddCommand(create,
		showVerb(a, all, words{"show NAME", "Show an identity", `  lanyard identity show workshop-identity -o json`}),
		listVerb(a, all, words{"list", "List all identities, or those of the group that -g names", `  lanyard identity list
  lanyard identity list -g lab`}),
		deleteVerb(a, all, words{"delete NAME", "Delete an identity: no more tokens are issued for it", `  lanyard identity delete workshop-identity`}))
	return cmd
}
