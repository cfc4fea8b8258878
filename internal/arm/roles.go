package arm

import (
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
)

const roleType = "Microsoft.Authorization/roleDefinitions"

// roleDefinition is https://learn.microsoft.com/rest/api/authorization/role-definitions/get.
type roleDefinition struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Properties roleProperties `json:"properties"`
}

type roleProperties struct {
	RoleName         string           `json:"roleName"`
	Type             string           `json:"type"`
	Description      string           `json:"description"`
	AssignableScopes []string         `json:"assignableScopes"`
	Permissions      []rolePermission `json:"permissions"`
}

type rolePermission struct {
	Actions          []string `json:"actions"`
	NotActions       []string `json:"notActions"`
	DataActions      []string `json:"dataActions"`
	NotDataActions   []string `json:"notDataActions"`
	Condition        string   `json:"condition,omitempty"`
	ConditionVersion string   `json:"conditionVersion,omitempty"`
}

func (c *call) showRole(r *access.Role) roleDefinition {
	p := rolePermission{
		Actions: list(r.Actions), NotActions: list(r.NotActions),
		DataActions: list(r.DataActions), NotDataActions: list(r.NotDataActions), Condition: r.Condition(),
	}
	if p.Condition != "" {
		p.ConditionVersion = "2.0"
	}
	return roleDefinition{
		ID: c.s.sub + "/providers/" + roleType + "/" + r.ID, Name: r.ID, Type: roleType,
		Properties: roleProperties{
			RoleName: r.Name, Type: "BuiltInRole", Description: r.Description,
			AssignableScopes: []string{"/"}, Permissions: []rolePermission{p},
		},
	}
}

// list is never null in JSON.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func (c *call) getRole() error {
	r, ok := access.RoleByID(c.id.Name())
	if !ok {
		return apierr.Wrap(roleDefinitionNotFound, apierr.NotFound, "The specified role definition with ID '%s' does not exist.", strings.ReplaceAll(c.id.Name(), "-", ""))
	}
	return httpx.WriteJSON(c.w, http.StatusOK, c.showRole(&r))
}

// listRoles lists the built-in roles, which apply at every scope.
func (c *call) listRoles() error {
	terms, err := c.filter()
	if err != nil {
		return err
	}
	body := listBody{Value: []any{}}
	for _, r := range access.Roles() {
		ok, err := matchesRole(&r, terms)
		if err != nil {
			return err
		}
		if ok {
			body.Value = append(body.Value, c.showRole(&r))
		}
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

// refuseRole is a PUT: there are no custom roles.
func (c *call) refuseRole() error {
	return fail(methodNotAllowed, "Roles cannot be made or changed here: this server has built-in roles only.")
}

func matchesRole(r *access.Role, terms []term) (bool, error) {
	for _, t := range terms {
		switch {
		case t.name == "rolename" && !t.call:
			if !strings.EqualFold(t.value, r.Name) {
				return false, nil
			}
		case t.name == "type" && !t.call:
			if !strings.EqualFold(t.value, "BuiltInRole") {
				return false, nil
			}
		case (t.name == "atscope" || t.name == "atscopeandbelow") && t.call:
		default:
			return false, badFilter("role definitions cannot be filtered by '%s'", t.name)
		}
	}
	return true, nil
}
