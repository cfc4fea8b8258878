package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// identity is a managed identity as ARM shows it.
type identity struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties struct {
		TenantID    string `json:"tenantId"`
		ClientID    string `json:"clientId"`
		PrincipalID string `json:"principalId"`
	} `json:"properties"`
}

func identityTable(ids ...identity) table {
	t := table{head: []string{"NAME", "CLIENT ID", "PRINCIPAL ID", "ID"}}
	for _, i := range ids {
		t.rows = append(t.rows, []string{i.Name, i.Properties.ClientID, i.Properties.PrincipalID, i.ID})
	}
	return t
}

func addTarget(f *pflag.FlagSet, t *target) {
	f.StringVarP(&t.group, "resource-group", "g", defaultGroup, "resource `group`")
	f.StringVarP(&t.location, "location", "l", defaultLocation, "`location` written on new resources")
}

func newIdentityCmd(a *app) *cobra.Command {
	var t target
	cmd := noun("identity", "Managed identities: who a workload can be", []string{"identities"})
	addTarget(cmd.PersistentFlags(), &t)

	create := &cobra.Command{
		Use: "create NAME", Short: "Make an identity, or show it if it exists",
		Example: `  lanyard identity create workshop-identity`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if err := t.ensure(cmd.Context(), c); err != nil {
				return err
			}
			var i whole[identity]
			body := map[string]string{"location": t.location}
			made, err := c.Create(cmd.Context(), t.identityID(c, args[0]), identityVersion, body, &i)
			if err != nil {
				return err
			}
			if !made {
				if cmd.Flags().Changed("location") && !strings.EqualFold(i.is.Location, t.location) {
					return differs("identity", args[0], "the location "+i.is.Location, "a location cannot be changed: leave --location out, or choose another name")
				}
				a.stays("identity", args[0])
			}
			return a.print(i, identityTable(i.is))
		},
	}
	show := &cobra.Command{
		Use: "show NAME", Short: "Show an identity", Args: cobra.ExactArgs(1),
		Example: `  lanyard identity show workshop-identity -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := a.identity(cmd, t, args[0])
			if err != nil {
				return err
			}
			return a.print(i, identityTable(i.is))
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List all identities, or those of the group that -g names", Args: cobra.NoArgs,
		Example: `  lanyard identity list
  lanyard identity list -g lab`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := listOf[identity](cmd.Context(), c, t, identityKind(), cmd.Flags().Changed("resource-group"))
			if err != nil {
				return err
			}
			return a.print(all, identityTable(parts(all)...))
		},
	}
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete an identity: no more tokens are issued for it", Args: cobra.ExactArgs(1),
		Example: `  lanyard identity delete workshop-identity`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			return t.drop(cmd.Context(), c, identityKind(), args[0])
		},
	}
	cmd.AddCommand(create, show, list, remove)
	return cmd
}

func (a *app) identity(cmd *cobra.Command, t target, name string) (i whole[identity], err error) {
	c, err := a.connect()
	if err != nil {
		return i, err
	}
	i, _, err = find[identity](cmd.Context(), c, t, identityKind(), name)
	return i, err
}
