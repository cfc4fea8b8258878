package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/shell"
)

func groups() *things[manage.Group] {
	return &things[manage.Group]{
		noun: "group", in: func(c *manage.Client, _ string) manage.Collection[manage.Group] { return c.Groups() },
		head:  []string{"NAME", "LOCATION", "ID"},
		cells: func(g manage.Group) []string { return []string{g.Name, g.Location, g.ID} },
	}
}

func newGroupCmd(a *app) *cobra.Command {
	all := groups()
	return noun("group", "Resource groups: where identities, vaults and clusters are kept together", []string{"groups"},
		newGroupCreateCmd(a, all),
		showVerb(a, all, words{"show NAME", "Show a resource group", `  lanyard group show lab -o json`}),
		listVerb(a, all, words{"list", "List all resource groups", `  lanyard group list`}),
		newGroupDeleteCmd(a))
}

func newGroupCreateCmd(a *app, all *things[manage.Group]) *cobra.Command {
	var location string
	create := a.verb(words{"create NAME", "Make a resource group, or show it if it exists", `  lanyard group create lab
  lanyard identity create workshop-identity -g lab`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			got, made, err := c.Groups().Create(cmd.Context(), args[0], manage.Group{Location: location})
			if err != nil {
				return err
			}
			return all.created(a, args[0], got, made, func(g manage.Group) error { return otherLocation(cmd, "group", args[0], g.Location) })
		})
	create.Flags().StringVarP(&location, "location", "l", manage.DefaultLocation, "`location` written on the group")
	return create
}

func newGroupDeleteCmd(a *app) *cobra.Command {
	var yes bool
	remove := a.verb(words{"delete NAME", "Delete a resource group; with --yes, all that is in it too", `  lanyard group delete lab
  lanyard group delete lab --yes`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			g, err := c.Groups().Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !yes {
				if err := refuseFull(cmd.Context(), c, g.Is.Name); err != nil {
					return err
				}
			}
			return c.Groups().Delete(cmd.Context(), args[0])
		})
	remove.Long = `Delete a resource group. One that holds something is deleted only with --yes, and
everything in it with it: its identities get no more tokens, its vaults can be recovered
until their retention ends, its clusters are forgotten.`
	remove.Flags().BoolVar(&yes, "yes", false, "delete what is in it too")
	return remove
}

// shown is how many things of a group an error names.
const shown = 5

// refuseFull is an error when a group holds something: it names what.
func refuseFull(ctx context.Context, c *manage.Client, group string) error {
	all, err := c.Contents(ctx, group)
	if err != nil || len(all) == 0 {
		return err
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Noun()+" "+e.Name)
	}
	if more := len(names) - shown; more > 0 {
		names = append(names[:shown], fmt.Sprintf("%d more", more))
	}
	return fault.WithHint(fmt.Errorf("the group %s holds %s; nothing was deleted", group, strings.Join(names, ", ")),
		"to delete these too: lanyard group delete "+shell.Quote(group)+" --yes")
}
