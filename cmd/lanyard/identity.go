package main

import (
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
			var i identity
			body := map[string]string{"location": t.location}
			if err := c.ARM(cmd.Context(), "PUT", t.identityID(c, args[0]), identityVersion, body, &i); err != nil {
				return err
			}
			return a.print(i, identityTable(i))
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
			return a.print(i, identityTable(i))
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List all identities", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			path := "/subscriptions/" + c.Subscription + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
			all, err := listAll[identity](cmd.Context(), c, path, identityVersion)
			if err != nil {
				return err
			}
			return a.print(all, identityTable(all...))
		},
	}
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete an identity: no more tokens are issued for it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			return c.ARM(cmd.Context(), "DELETE", t.identityID(c, args[0]), identityVersion, nil, nil)
		},
	}
	cmd.AddCommand(create, show, list, remove)
	return cmd
}

func (a *app) identity(cmd *cobra.Command, t target, name string) (i identity, err error) {
	c, err := a.connect()
	if err != nil {
		return i, err
	}
	return i, c.ARM(cmd.Context(), "GET", t.identityID(c, name), identityVersion, nil, &i)
}
