package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/table"
)

func roleTable(names map[string]string, all ...manage.Assignment) table.Table {
	t := table.Table{Head: []string{"ROLE", "PRINCIPAL", "SCOPE", "ID"}, Key: 3}
	for _, r := range all {
		who := r.Properties.PrincipalID
		if name := names[who]; name != "" {
			who = name + " (" + who + ")"
		}
		t.Rows = append(t.Rows, []string{r.Role(), who, r.Properties.Scope, r.ID})
	}
	return t
}

func newRoleCmd(a *app) *cobra.Command {
	remove := a.verb(words{"delete ID", "Take a role away: ID is the assignment's, as `list` shows it", ""},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			return c.Assignments("", "").Delete(cmd.Context(), args[0])
		}, func(args []string) error {
			if !manage.IsAssignment(args[0]) {
				return fault.WithHint(errors.New("the id of a role assignment is needed"), "lanyard role list")
			}
			return nil
		})
	return noun("role", "Role assignments: who may do what, and where", []string{"roles"}, newRoleAssignCmd(a), newRoleListCmd(a), remove)
}

func newRoleAssignCmd(a *app) *cobra.Command {
	var h holder
	var scope string
	var role access.Role
	assign := a.holderVerb(&h, words{"assign ROLE", "Give a principal a role", `  lanyard role assign "Key Vault Secrets User" --identity workshop-identity
  lanyard role assign Reader --user alice
  lanyard role assign Reader --app 00000000-0000-0000-0000-000000000000 --scope /`},
		func(ctx context.Context, c *manage.Client, _, principal string) error {
			path, err := c.ScopePath(scope)
			if err != nil {
				return err
			}
			got, made, err := c.Assign(ctx, path, manage.AssignmentProperties{RoleID: c.RoleID(role.ID), PrincipalID: principal, PrincipalType: h.kind()})
			if err != nil {
				return err
			}
			if !made {
				a.say("the role is assigned already; nothing was changed")
			}
			return a.print(got, roleTable(nil, got.Is))
		}, func(args []string) (err error) { role, err = findRole(args[0]); return err })
	addTarget(assign.Flags(), &h.target)
	assign.Flags().StringVar(&scope, "scope", "", "where: a resource `id`, or / for everything (default the subscription)")
	return assign
}

func roleNames() (names []string) {
	for _, r := range access.Roles() {
		names = append(names, r.Name)
	}
	return names
}

// findRole takes a role's name or its id.
func findRole(s string) (access.Role, error) {
	if r, ok := access.RoleByName(s); ok {
		return r, nil
	}
	if r, ok := access.RoleByID(s); ok {
		return r, nil
	}
	return access.Role{}, fault.WithHint(fmt.Errorf("no such role %q", s), "one of: "+strings.Join(roleNames(), ", "))
}

func newRoleListCmd(a *app) *cobra.Command {
	var scope string
	list := a.verb(words{"list", "List the role assignments that apply to a scope, and those below it", `  lanyard role list
  lanyard role list --scope /`},
		func(cmd *cobra.Command, c *manage.Client, _ []string) error {
			path, err := c.ScopePath(scope)
			if err != nil {
				return err
			}
			found, err := c.Assignments(path, "").List(cmd.Context())
			if err != nil {
				return err
			}
			all := manage.Parts(found)
			var ids []string
			for _, r := range all {
				ids = append(ids, r.Properties.PrincipalID)
			}
			return a.print(found, roleTable(c.PrincipalNames(cmd.Context(), ids), all...))
		})
	list.Flags().StringVar(&scope, "scope", "", "a resource `id`, or / for everything (default the subscription)")
	return list
}
