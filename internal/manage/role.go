package manage

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/odata"
)

// Assignment is a role that a principal has at a scope.
type Assignment struct {
	ID         string               `json:"id,omitempty"`
	Name       string               `json:"name,omitempty"`
	Properties AssignmentProperties `json:"properties"`
}

// AssignmentProperties of an assignment. The principal's type may be left to the
// server to find.
type AssignmentProperties struct {
	RoleID        string `json:"roleDefinitionId"`
	PrincipalID   string `json:"principalId"`
	PrincipalType string `json:"principalType,omitempty"`
	Scope         string `json:"scope,omitempty"`
}

// Role is the role's name, or its id when this program does not know it.
func (r Assignment) Role() string {
	id := lastStep(r.Properties.RoleID)
	if known, ok := access.RoleByID(id); ok {
		return known.Name
	}
	return id
}

// Has says whether an assignment is of a role at exactly a scope.
func (r Assignment) Has(roleID, scope string) bool {
	return SameRole(r.Properties.RoleID, roleID) && strings.EqualFold(cmp.Or(r.Properties.Scope, "/"), cmp.Or(scope, "/"))
}

// SameRole compares role ids by their last part: the same built-in role has an id
// below every subscription.
func SameRole(a, b string) bool { return strings.EqualFold(lastStep(a), lastStep(b)) }

const (
	assignmentsPath = "/providers/Microsoft.Authorization/roleAssignments"
	rolesPath       = "/providers/Microsoft.Authorization/roleDefinitions"
)

// ScopePath is a scope as the beginning of a path: the subscription's when it is
// empty, and "" for everything.
func (c *Client) ScopePath(scope string) (string, error) {
	switch {
	case scope == "":
		return c.subscription(), nil
	case !strings.HasPrefix(scope, "/"):
		return "", fault.WithHint(fmt.Errorf("the scope %q is no resource id: those begin with /", scope),
			"a vault's is in the column ID of `lanyard vault list`; / is everything")
	}
	return strings.TrimSuffix(scope, "/"), nil
}

// Assignments are those that apply to a scope and below it, or that an OData filter
// leaves of them. The names are ids of assignments.
func (c *Client) Assignments(scope, filter string) Collection[Assignment] {
	path := scope + assignmentsPath
	if filter != "" {
		path += "?$filter=" + url.QueryEscape(filter)
	}
	return Collection[Assignment]{
		api: c.ResourceManager(roleVersion), path: path, id: func(id string) string { return id },
		missing: func(_ context.Context, id string) error {
			if id == "" {
				return noScope(scope)
			}
			return fault.WithHint(fault.Absent("no role assignment %s", id), "lanyard role list")
		},
	}
}

// AssignmentsOf are a principal's.
func (c *Client) AssignmentsOf(scope, principal string) Collection[Assignment] {
	return c.Assignments(scope, "principalId eq '"+principal+"'")
}

// IsAssignment says whether an id could be an assignment's.
func IsAssignment(id string) bool {
	return strings.Contains(strings.ToLower(id), strings.ToLower(assignmentsPath)+"/")
}

// RoleID is the whole id of a role.
func (c *Client) RoleID(uuid string) string { return c.subscription() + rolesPath + "/" + uuid }

// FindRole finds a role's whole id by its name or id, where it is to be given.
func (c *Client) FindRole(ctx context.Context, scope, name string) (string, error) {
	if model.ValidUUID(name) {
		return c.RoleID(name), nil
	}
	filter := "roleName eq " + odata.Quote(name)
	all, err := Collection[Entry]{api: c.ResourceManager(roleVersion), path: scope + rolesPath + "?$filter=" + url.QueryEscape(filter)}.List(ctx)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", fault.WithHint(fmt.Errorf("no such role %q", name), "az role definition list --query '[].roleName'")
	}
	return all[0].Is.ID, nil
}

// Assign gives a role at a scope. One that is given already stays as it is: made is
// false then.
func (c *Client) Assign(ctx context.Context, scope string, p AssignmentProperties) (got Whole[Assignment], made bool, err error) {
	all := c.Assignments(scope, "atScope()")
	got, err = all.Put(ctx, scope+assignmentsPath+"/"+model.NewUUID(), Assignment{Properties: p})
	switch {
	case client.HasCode(err, "RoleAssignmentExists"):
		there, err := all.List(ctx)
		for _, r := range there {
			if r.Is.Has(p.RoleID, scope) && strings.EqualFold(r.Is.Properties.PrincipalID, p.PrincipalID) {
				got = r
			}
		}
		return got, false, err
	case client.HasCode(err, "PrincipalNotFound"):
		err = fault.WithHint(err, "object ids are in `lanyard identity list` and `lanyard user list`; --app, --identity and --user take names")
	case client.IsStatus(err, http.StatusNotFound):
		err = noScope(scope)
	}
	return got, err == nil, err
}

func noScope(scope string) error {
	return fault.WithHint(fault.Absent("nothing has the id %s", scope), "`lanyard vault list` and `lanyard identity list` show ids; / is everything")
}
