package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// group is a resource group as the management API shows it.
type group struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags,omitempty"`
}

func groupTable(all ...group) table {
	t := table{head: []string{"NAME", "LOCATION", "ID"}}
	for _, g := range all {
		t.rows = append(t.rows, []string{g.Name, g.Location, g.ID})
	}
	return t
}

func newGroupCmd(a *app) *cobra.Command {
	show := &cobra.Command{
		Use: "show NAME", Short: "Show a resource group", Args: cobra.ExactArgs(1),
		Example: `  lanyard group show lab -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			g, err := findGroup(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return a.print(g, groupTable(g.is))
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List all resource groups", Args: cobra.NoArgs,
		Example: `  lanyard group list`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := listAll[whole[group]](cmd.Context(), c, "/subscriptions/"+c.Subscription+"/resourceGroups", groupsVersion)
			if err != nil {
				return err
			}
			return a.print(all, groupTable(parts(all)...))
		},
	}
	return noun("group", "Resource groups: where identities, vaults and clusters are kept together", []string{"groups"},
		newGroupCreateCmd(a), show, list, newGroupDeleteCmd(a))
}

func newGroupCreateCmd(a *app) *cobra.Command {
	var location string
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a resource group, or show it if it exists",
		Example: `  lanyard group create lab
  lanyard identity create workshop-identity -g lab`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			var g whole[group]
			made, err := c.Create(cmd.Context(), target{group: args[0]}.groupID(c), groupsVersion, map[string]string{"location": location}, &g)
			if err != nil {
				return err
			}
			if !made {
				if cmd.Flags().Changed("location") && !strings.EqualFold(g.is.Location, location) {
					return differs("group", args[0], "the location "+g.is.Location, "a location cannot be changed: leave --location out, or choose another name")
				}
				a.stays("group", args[0])
			}
			return a.print(g, groupTable(g.is))
		},
	}
	create.Flags().StringVarP(&location, "location", "l", defaultLocation, "`location` written on the group")
	return create
}

func newGroupDeleteCmd(a *app) *cobra.Command {
	var yes bool
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete a resource group; with --yes, all that is in it too",
		Long: `Delete a resource group. One that holds something is deleted only with --yes, and
everything in it with it: its identities get no more tokens, its vaults can be recovered
until their retention ends, its clusters are forgotten.`,
		Example: `  lanyard group delete lab
  lanyard group delete lab --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			g, err := findGroup(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if !yes {
				if err := refuseFull(cmd.Context(), c, g.is); err != nil {
					return err
				}
			}
			found, err := c.Delete(cmd.Context(), g.is.ID, groupsVersion)
			if err == nil && !found {
				return noSuchGroup(args[0])
			}
			return err
		},
	}
	remove.Flags().BoolVar(&yes, "yes", false, "delete what is in it too")
	return remove
}

func findGroup(ctx context.Context, c *client.Client, name string) (g whole[group], err error) {
	_, err = c.Read(ctx, target{group: name}.groupID(c), groupsVersion, &g)
	if client.IsNotFound(err) {
		err = noSuchGroup(name)
	}
	return g, err
}

func noSuchGroup(name string) error {
	return fault.WithHint(fault.Absent("no resource group %q", name), "lanyard group list")
}

// shown is how many things of a group an error names.
const shown = 5

// refuseFull is an error when a group holds something: it names what.
func refuseFull(ctx context.Context, c *client.Client, g group) error {
	type entry struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	all, err := listAll[entry](ctx, c, g.ID+"/resources", groupsVersion)
	if err != nil || len(all) == 0 {
		return err
	}
	var names []string
	for _, e := range all {
		what := e.Type[strings.LastIndexByte(e.Type, '/')+1:]
		for _, k := range []kind{identityKind(), vaultKind(), clusterKind()} {
			if strings.EqualFold(k.typ, e.Type) {
				what = k.noun
			}
		}
		names = append(names, what+" "+e.Name)
	}
	if more := len(names) - shown; more > 0 {
		names = append(names[:shown], fmt.Sprintf("%d more", more))
	}
	return fault.WithHint(fmt.Errorf("the group %s holds %s; nothing was deleted", g.Name, strings.Join(names, ", ")),
		"to delete these too: lanyard group delete "+shell.Quote(g.Name)+" --yes")
}
