package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/model"
)

// roleAssignment is a role assignment as ARM shows it.
type roleAssignment struct {
	ID         string                   `json:"id"`
	Name       string                   `json:"name"`
	Properties roleAssignmentProperties `json:"properties"`
}

type roleAssignmentProperties struct {
	RoleID        string `json:"roleDefinitionId"`
	PrincipalID   string `json:"principalId"`
	PrincipalType string `json:"principalType,omitempty"`
	Scope         string `json:"scope,omitempty"`
}

// role is the assigned role's name, or its id when this program does not know it.
func (r roleAssignment) role() string {
	id := r.Properties.RoleID[strings.LastIndexByte(r.Properties.RoleID, '/')+1:]
	if known, ok := access.RoleByID(id); ok {
		return known.Name
	}
	return id
}

func roleTable(names map[string]string, all ...roleAssignment) table {
	t := table{head: []string{"ROLE", "PRINCIPAL", "SCOPE", "ID"}, key: 3}
	for _, r := range all {
		who := r.Properties.PrincipalID
		if name := names[who]; name != "" {
			who = name + " (" + who + ")"
		}
		t.rows = append(t.rows, []string{r.role(), who, r.Properties.Scope, r.ID})
	}
	return t
}

const assignments = "/providers/Microsoft.Authorization/roleAssignments"

func newRoleCmd(a *app) *cobra.Command {
	cmd := noun("role", "Role assignments: who may do what, and where", []string{"roles"})
	cmd.AddCommand(newRoleAssignCmd(a), newRoleListCmd(a), newRoleDeleteCmd(a))
	return cmd
}

func newRoleAssignCmd(a *app) *cobra.Command {
	var h holder
	var scope string
	assign := &cobra.Command{
		Use: "assign ROLE", Short: "Give a principal a role",
		Example: `  lanyard role assign "Key Vault Secrets User" --identity workshop-identity
  lanyard role assign Reader --user alice
  lanyard role assign Reader --app 00000000-0000-0000-0000-000000000000 --scope /`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			role, err := findRole(args[0])
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			scope, err := scopePath(c, scope)
			if err != nil {
				return err
			}
			principal, err := a.holder(cmd, c, &h)
			if err != nil {
				return err
			}
			return a.assign(cmd.Context(), c, scope, role.ID, roleAssignmentProperties{PrincipalID: principal, PrincipalType: h.kind()})
		},
	}
	addTarget(assign.Flags(), &h.target)
	h.add(assign)
	assign.Flags().StringVar(&scope, "scope", "", "where: a resource `id`, or / for everything (default the subscription)")
	return assign
}

// assign gives a role; one that is given already stays as it is.
func (a *app) assign(ctx context.Context, c *client.Client, scope, roleID string, p roleAssignmentProperties) error {
	p.RoleID = "/subscriptions/" + c.Subscription + "/providers/Microsoft.Authorization/roleDefinitions/" + roleID
	var made whole[roleAssignment]
	err := c.ARM(ctx, "PUT", scope+assignments+"/"+model.NewUUID(), roleVersion, map[string]any{"properties": p}, &made)
	if client.HasCode(err, "RoleAssignmentExists") {
		made, err = assigned(ctx, c, scope, roleID, p.PrincipalID)
		a.say("the role is assigned already; nothing was changed")
	}
	if err != nil {
		return roleError(err, scope)
	}
	return a.print(made, roleTable(nil, made.is))
}

// findRole takes a role's name or its id.
func findRole(s string) (access.Role, error) {
	if r, ok := access.RoleByName(s); ok {
		return r, nil
	}
	if r, ok := access.RoleByID(s); ok {
		return r, nil
	}
	var names []string
	for _, r := range access.Roles() {
		names = append(names, r.Name)
	}
	return access.Role{}, fault.WithHint(fmt.Errorf("no such role %q", s), "one of: "+strings.Join(names, ", "))
}

// scopePath is a scope as the beginning of a URL's path.
func scopePath(c *client.Client, scope string) (string, error) {
	switch {
	case scope == "":
		return "/subscriptions/" + c.Subscription, nil
	case !strings.HasPrefix(scope, "/"):
		return "", fault.WithHint(fmt.Errorf("the scope %q is no resource id: those begin with /", scope),
			"a vault's is in the column ID of `lanyard vault list`; / is everything")
	}
	return strings.TrimSuffix(scope, "/"), nil
}

// roleError words a scope that is not there.
func roleError(err error, scope string) error {
	e, ok := errors.AsType[*client.Error](err)
	switch {
	case ok && e.Code == "PrincipalNotFound":
		return fault.WithHint(err, "object ids are in `lanyard identity list` and `lanyard user list`; --app, --identity and --user take names")
	case ok && e.Status == http.StatusNotFound:
		return fault.WithHint(fault.Absent("nothing has the id %s", scope), "`lanyard vault list` and `lanyard identity list` show ids; / is everything")
	}
	return err
}

// assigned finds the assignment of a role to a principal at exactly one scope.
func assigned(ctx context.Context, c *client.Client, scope, roleID, principal string) (none whole[roleAssignment], err error) {
	all, err := listAll[whole[roleAssignment]](ctx, c, scope+assignments+"?$filter="+url.QueryEscape("atScope()"), roleVersion)
	for _, r := range all {
		p := r.is.Properties
		if sameRole(p.RoleID, roleID) && strings.EqualFold(p.PrincipalID, principal) && strings.EqualFold(cmp.Or(p.Scope, "/"), cmp.Or(scope, "/")) {
			return r, nil
		}
	}
	return none, err
}

func newRoleListCmd(a *app) *cobra.Command {
	var scope string
	list := &cobra.Command{
		Use: "list", Short: "List the role assignments that apply to a scope, and those below it", Args: cobra.NoArgs,
		Example: `  lanyard role list
  lanyard role list --scope /`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			scope, err := scopePath(c, scope)
			if err != nil {
				return err
			}
			found, err := listAll[whole[roleAssignment]](cmd.Context(), c, scope+assignments, roleVersion)
			if err != nil {
				return roleError(err, scope)
			}
			all := parts(found)
			var ids []string
			for _, r := range all {
				ids = append(ids, r.Properties.PrincipalID)
			}
			return a.print(found, roleTable(principalNames(cmd.Context(), c, ids), all...))
		},
	}
	list.Flags().StringVar(&scope, "scope", "", "a resource `id`, or / for everything (default the subscription)")
	return list
}

func newRoleDeleteCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Take a role away: ID is the assignment's, as `list` shows it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.Contains(strings.ToLower(args[0]), strings.ToLower(assignments)+"/") {
				return fault.WithHint(errors.New("the id of a role assignment is needed"), "lanyard role list")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			found, err := c.Delete(cmd.Context(), args[0], roleVersion)
			if err == nil && !found {
				err = fault.WithHint(fault.Absent("no role assignment %s", args[0]), "lanyard role list")
			}
			return err
		},
	}
}
