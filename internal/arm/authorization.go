package arm

import (
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
	"github.com/lanyard-io/lanyard/internal/store"
)

const (
	assignmentType    = "Microsoft.Authorization/roleAssignments"
	assignmentSegment = "/providers/microsoft.authorization/roleassignments/"
)

var authorizationVersions = []string{"2022-04-01", "2020-04-01-preview", "2018-01-01-preview", "2015-07-01"}

// authorizationRows is Microsoft.Authorization. Role definitions are in roles.go.
func authorizationRows() []*row {
	return []*row{
		{
			name: "assignment", typ: assignmentType, versions: authorizationVersions, in: anywhere, listed: anywhere,
			checkName: checkAssignmentName, missing: assignmentNotFound, put: putAssignment, shape: shapeAssignment,
			verbs: map[string]verb{
				"LIST":   {do: (*call).listAssignments},
				"PUT":    {do: (*call).write, check: (*call).mayAssign},
				"DELETE": {do: (*call).deleteAssignment, check: (*call).mayUnassign},
			},
		},
		{
			name: "role", typ: roleType, versions: authorizationVersions, in: anywhere, listed: anywhere,
			verbs: map[string]verb{"GET": {do: (*call).getRole}, "LIST": {do: (*call).listRoles}, "PUT": {do: (*call).refuseRole}},
		},
		{ // none can be made
			name: "lock", typ: "Microsoft.Authorization/locks", versions: []string{"2020-05-01", "2016-09-01"}, in: anywhere, listed: anywhere,
			verbs: map[string]verb{"LIST": {do: (*call).listNothing}},
		},
		{
			name: "denyassignment", typ: "Microsoft.Authorization/denyAssignments", versions: authorizationVersions, in: anywhere, listed: anywhere,
			verbs: map[string]verb{"LIST": {do: (*call).listNothing}},
		},
	}
}

func checkAssignmentName(name string) error {
	if !model.ValidUUID(name) {
		return fail(invalidResourceName, "The role assignment ID '%s' is not valid. The role assignment ID must be a GUID.", name)
	}
	return nil
}

func assignmentNotFound(name string) error {
	return fail(roleAssignmentNotFound, "The role assignment '%s' is not found.", name)
}

// mayAssign asks the gate about the role that the body names: some callers may
// assign certain roles only. Faults of the body are reported afterwards.
func (c *call) mayAssign() error {
	role := ""
	if in, err := c.input(); err == nil {
		var p assignmentInput
		if decode(in.Properties, "properties", &p) == nil {
			role, _ = p.check()
		}
	}
	return c.s.gate.CheckAssignment(c.r.Context(), c.view, c.caller, access.ActionWriteAssignment, c.op.scope.String(), role)
}

func (c *call) mayUnassign() error {
	role := ""
	if a, _, ok := store.Get[*model.RoleAssignment](c.view, c.id.Key()); ok {
		role = a.RoleID
	}
	return c.s.gate.CheckAssignment(c.r.Context(), c.view, c.caller, access.ActionDeleteAssignment, c.op.scope.String(), role)
}

type assignmentInput struct {
	RoleID        string `json:"roleDefinitionId"`
	PrincipalID   string `json:"principalId"`
	PrincipalType string `json:"principalType"`
	Description   string `json:"description"`
	Condition     string `json:"condition"`
	Delegated     string `json:"delegatedManagedIdentityResourceId"`
}

// putAssignment makes a role assignment. The front has checked that the caller
// may write assignments at this scope. Of an assignment only the description changes.
func putAssignment(c *call, in *input) (*change, error) {
	var p assignmentInput
	if err := decode(in.Properties, "properties", &p); err != nil {
		return nil, err
	}
	role, err := p.check()
	if err != nil {
		return nil, err
	}
	a := &model.RoleAssignment{
		Resource: in.common, Scope: orRoot(c.spell(c.id.Scope())), RoleID: role,
		PrincipalID: strings.ToLower(p.PrincipalID), PrincipalType: p.PrincipalType, Description: p.Description,
	}
	if old, ok := in.old.(*model.RoleAssignment); ok {
		if old.PrincipalID != a.PrincipalID || old.RoleID != a.RoleID {
			return nil, fail(roleAssignmentFixed, "Tenant ID, application ID, principal ID, role and scope are not allowed to be updated.")
		}
		a.PrincipalType = old.PrincipalType
		return &change{object: a}, nil
	}
	principal := c.view.First(model.PrincipalIndex(a.PrincipalID))
	if principal == nil {
		return nil, fail(principalNotFound, "Principal %s does not exist in the directory %s. Check that you have the correct principal ID.",
			strings.ReplaceAll(a.PrincipalID, "-", ""), c.s.tenantID)
	}
	is := "ServicePrincipal"
	if _, ok := principal.Value.(*model.User); ok {
		is = "User"
	}
	if a.PrincipalType == "" {
		a.PrincipalType = is
	}
	if a.PrincipalType != is {
		return nil, fail(unmatchedPrincipalType, "The PrincipalId '%s' has type '%s', which is different from the specified PrincipalType '%s'.",
			strings.ReplaceAll(a.PrincipalID, "-", ""), is, a.PrincipalType)
	}
	if err := refuseDuplicate(c.view, a, 0); err != nil {
		return nil, err
	}
	// When two are made at once, the later one yields.
	return &change{object: a, confirm: func(v *store.View, rev int64) error { return refuseDuplicate(v, a, rev) }}, nil
}

// maxDescription is the most characters of an assignment's description.
const maxDescription = 1024

// check gives the role's GUID. A condition would narrow the grant, so an assignment
// with one is refused, not granted without it.
func (p *assignmentInput) check() (string, error) {
	switch {
	case !model.ValidUUID(p.PrincipalID):
		return "", fail(badRequest, "The property 'principalId' must be a GUID: the object id of a user, group or service principal.")
	case p.Condition != "":
		return "", fail(badRequest, "The property 'condition' is not supported.")
	case p.Delegated != "":
		return "", fail(badRequest, "The property 'delegatedManagedIdentityResourceId' is not supported.")
	case len(p.Description) > maxDescription:
		return "", fail(badRequest, "The property 'description' may have at most %d characters.", maxDescription)
	}
	switch p.PrincipalType {
	case "", "User", "Group", "ServicePrincipal":
	default:
		return "", fail(badRequest, "The property 'principalType' must be User, Group or ServicePrincipal.")
	}
	id, err := resid.Parse(p.RoleID)
	if err != nil || !strings.EqualFold(id.Type(), roleType) || !model.ValidUUID(id.Name()) {
		return "", fail(badRequest, "The property 'roleDefinitionId' must be the resource id of a role definition.")
	}
	role := strings.ToLower(id.Name())
	if _, ok := access.RoleByID(role); !ok {
		return "", fail(roleDefinitionNotFound, "The specified role definition with ID '%s' does not exist.", strings.ReplaceAll(role, "-", ""))
	}
	return role, nil
}

// refuseDuplicate looks for another assignment of the same role to the same
// principal at the same scope, made before a revision (0: at all). Two may be
// made at one revision: then the order of their keys decides.
func refuseDuplicate(v *store.View, a *model.RoleAssignment, before int64) error {
	for e := range v.Lookup(model.RoleIndex(a.PrincipalID)) {
		b, ok := e.Value.(*model.RoleAssignment)
		if !ok || b.RoleID != a.RoleID || !strings.EqualFold(b.Scope, a.Scope) || b.Key() == a.Key() {
			continue
		}
		if before > 0 && (e.CreateRev > before || e.CreateRev == before && b.Key() > a.Key()) {
			continue
		}
		return fail(roleAssignmentExists, "The role assignment already exists. The ID of the existing role assignment is %s.",
			strings.ReplaceAll(b.Name, "-", ""))
	}
	return nil
}

type assignmentOutput struct {
	RoleID        string `json:"roleDefinitionId"`
	PrincipalID   string `json:"principalId"`
	PrincipalType string `json:"principalType"`
	Scope         string `json:"scope"`
	Description   string `json:"description,omitempty"`
	CreatedOn     string `json:"createdOn"`
	UpdatedOn     string `json:"updatedOn"`
	CreatedBy     string `json:"createdBy"`
	UpdatedBy     string `json:"updatedBy"`
}

func shapeAssignment(c *call, o model.Object, out *resource) {
	a, ok := o.(*model.RoleAssignment)
	if !ok {
		return
	}
	out.System = nil // its properties say the same
	out.Properties = assignmentOutput{
		RoleID: c.s.sub + "/providers/" + roleType + "/" + a.RoleID, PrincipalID: a.PrincipalID, PrincipalType: a.PrincipalType,
		Scope: a.Scope, Description: a.Description, CreatedOn: wireTime(a.System.CreatedAt), UpdatedOn: wireTime(a.System.ModifiedAt),
		CreatedBy: a.System.CreatedBy, UpdatedBy: a.System.ModifiedBy,
	}
}

// deleteAssignment answers with what it deleted.
func (c *call) deleteAssignment() error {
	e := c.view.Get(c.id.Key())
	if e == nil {
		return c.delete()
	}
	if err := c.precondition(e); err != nil {
		return err
	}
	if err := c.s.store.Delete(c.r.Context(), e.Key, e.Rev); err != nil {
		return err
	}
	return httpx.WriteJSON(c.w, http.StatusOK, c.show(c.row, e))
}

// listAssignments lists the assignments at the scope, above it and, without
// atScope(), below it.
// https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope
func (c *call) listAssignments() error {
	terms, err := c.filter()
	if err != nil {
		return err
	}
	principal, below := "", true
	for _, t := range terms {
		switch {
		case t.name == "atscope" && t.call:
			below = false
		case t.name == "principalid" && !t.call, t.name == "assignedto" && t.call:
			principal = strings.ToLower(t.value)
		default:
			return badFilter("role assignments cannot be filtered by '%s'", t.name)
		}
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	body, last := listBody{Value: []any{}}, ""
	for e := range c.assignments(principal, below, p.after) {
		if len(body.Value) == p.top {
			body.NextLink = c.nextLink(last)
			break
		}
		body.Value, last = append(body.Value, c.show(c.row, e)), e.Key
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

// assignments walks the assignments at and above the call's scope, and below it
// if wanted; in one order, so that a page can go on after a key.
func (c *call) assignments(principal string, downwards bool, after string) iter.Seq[*store.Entry] {
	scope := c.op.scope
	return func(yield func(*store.Entry) bool) {
		if principal != "" {
			for e := range c.view.Lookup(model.RoleIndex(principal)) {
				if e.Key > after && applies(e, scope, downwards) && !yield(e) {
					return
				}
			}
			return
		}
		for _, prefix := range assignmentPrefixes(scope, downwards) {
			if after != "" && !strings.HasPrefix(after, prefix) {
				continue // an earlier page had it
			}
			start := after
			after = ""
			for e := range c.view.Prefix(prefix, start) {
				if applies(e, scope, downwards) && !yield(e) {
					return
				}
			}
		}
	}
}

func applies(e *store.Entry, scope resid.ID, downwards bool) bool {
	a, ok := e.Value.(*model.RoleAssignment)
	if !ok {
		return false
	}
	at, err := resid.Parse(a.Scope)
	return err == nil && (scope.Within(at) || downwards && at.Within(scope))
}

// assignmentPrefixes has the prefixes of each ancestor's own assignments, then of the
// scope's, or of all below the scope.
func assignmentPrefixes(scope resid.ID, downwards bool) []string {
	var prefixes []string
	for at := scope; ; at = at.Parent() {
		key := at.Key()
		if at.IsRoot() {
			key = ""
		}
		switch {
		case downwards && at.Equal(scope):
			prefixes = append(prefixes, key+"/")
		default:
			prefixes = append(prefixes, key+assignmentSegment)
		}
		if at.IsRoot() {
			break
		}
	}
	// Outermost first: no prefix then begins with one before it, save the last.
	slices.Reverse(prefixes)
	return prefixes
}
