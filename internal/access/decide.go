package access

import (
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Data actions on the secrets of a vault.
// https://learn.microsoft.com/azure/role-based-access-control/permissions/security#microsoftkeyvault
const (
	ActionGetSecret     = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
	ActionSetSecret     = "Microsoft.KeyVault/vaults/secrets/setSecret/action"
	ActionReadMetadata  = "Microsoft.KeyVault/vaults/secrets/readMetadata/action"
	ActionDeleteSecret  = "Microsoft.KeyVault/vaults/secrets/delete"
	ActionRecoverSecret = "Microsoft.KeyVault/vaults/secrets/recover/action"
	ActionPurgeSecret   = "Microsoft.KeyVault/vaults/secrets/purge/action"
	ActionBackupSecret  = "Microsoft.KeyVault/vaults/secrets/backup/action"
	ActionRestoreSecret = "Microsoft.KeyVault/vaults/secrets/restore/action"
)

// Actions that CheckAssignment decides.
const (
	ActionWriteAssignment  = "Microsoft.Authorization/roleAssignments/write"
	ActionDeleteAssignment = "Microsoft.Authorization/roleAssignments/delete"
)

// decision is what the gate found, before it is recorded.
type decision struct {
	granted    bool
	reason     string
	code       string // of a refusal
	permission string // that access policies do not grant
	network    NetworkRefusal
}

const (
	noObjectID  = "the access token names no object id"
	otherTenant = "the caller belongs to another tenant"
	notAdmitted = "the vault's network rules do not admit the caller's address"
)

// inactive says why a principal may do nothing any more; empty if it may. A token
// is good until it expires, and may outlive whom it was issued to.
func inactive(v *store.View, objectID string) string {
	e := v.First(model.PrincipalIndex(objectID))
	if e == nil {
		return "the principal was deleted"
	}
	disabled := false
	switch o := e.Value.(type) {
	case *model.Application:
		disabled = o.Disabled
	case *model.User:
		disabled = o.Disabled
	}
	if disabled {
		return "the principal is disabled"
	}
	return ""
}

// query is one question to the role assignments.
type query struct {
	action string
	scope  string
	data   bool
	roleID string // of the assignment that the action is about, if it is about one
}

// allows says whether a role allows the action. A role that may only assign
// certain roles allows it for these alone, so not where the role is unknown.
func (q *query) allows(p *permissions) bool {
	if q.data {
		return p.data.match(q.action)
	}
	if len(p.assignable) > 0 && (equalFold(q.action, ActionWriteAssignment) || equalFold(q.action, ActionDeleteAssignment)) &&
		!slices.ContainsFunc(p.assignable, func(id string) bool { return equalFold(id, q.roleID) }) {
		return false
	}
	return p.control.match(q.action)
}

// byRoles decides by role assignments. The tenant's id is in the store from the
// first start on; Authenticate has compared it before.
func (g *Gate) byRoles(v *store.View, c *model.Caller, q query) decision {
	d := decision{code: "AuthorizationFailed"}
	if q.data {
		d.code = "ForbiddenByRbac"
	}
	if c.ObjectID == "" {
		d.reason = noObjectID
		return d
	}
	if in, _, ok := store.Get[*model.Instance](v, model.InstanceKey); ok && !equalFold(in.TenantID, c.TenantID) {
		d.reason = otherTenant
		return d
	}
	index := model.RoleIndex(c.ObjectID)
	for e := range v.Lookup(index) {
		a, ok := e.Value.(*model.RoleAssignment)
		if !ok || !covers(a.Scope, q.scope) {
			continue
		}
		if p := g.roles[strings.ToLower(a.RoleID)]; p != nil && q.allows(p) {
			if d.reason = inactive(v, c.ObjectID); d.reason != "" {
				return d
			}
			return decision{granted: true, reason: "role " + p.name + " at " + a.Scope}
		}
	}
	d.reason = "no role assignment at or above " + q.scope + " allows " + q.action + "; the principal holds " + g.rolesHeld(v, index)
	return d
}

// maxHeld is how many assignments a refusal's reason lists.
const maxHeld = 8

// rolesHeld lists a principal's assignments for the one who reads why it was refused.
func (g *Gate) rolesHeld(v *store.View, index string) string {
	var b strings.Builder
	n := 0
	for e := range v.Lookup(index) {
		a, ok := e.Value.(*model.RoleAssignment)
		if !ok {
			continue
		}
		if n++; n > maxHeld {
			b.WriteString(", and more")
			break
		}
		if n > 1 {
			b.WriteString(", ")
		}
		if p := g.roles[strings.ToLower(a.RoleID)]; p != nil {
			b.WriteString(p.name)
		} else {
			b.WriteString("the unknown role " + a.RoleID)
		}
		b.WriteString(" at " + a.Scope)
	}
	if n == 0 {
		return "no role"
	}
	return b.String()
}

// hasPermission says whether a policy's list has a permission. "all" is from before
// purging, and does not include it: destroying for good is always granted by name.
// https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
func hasPermission(permissions []string, want string) bool {
	for _, p := range permissions {
		if equalFold(p, want) || want != "purge" && equalFold(p, "all") {
			return true
		}
	}
	return false
}

// byPolicies decides by a vault's access policies. A policy with an application
// is for a principal that acts through that application only.
func byPolicies(v *store.View, vault *model.Vault, c *model.Caller, a *VaultAction) decision {
	d := decision{code: "AccessDenied", permission: a.Permission}
	switch {
	case a.Permission == "":
		d.reason = "access policies know no permission for " + a.Action
		return d
	case c.ObjectID == "":
		d.reason = noObjectID
		return d
	case c.TenantID == "" || !equalFold(vault.TenantID, c.TenantID):
		d.reason = otherTenant
		return d
	}
	named, compound := false, false
	for i := range vault.Policies {
		p := &vault.Policies[i]
		if !equalFold(p.ObjectID, c.ObjectID) || !equalFold(p.TenantID, c.TenantID) {
			continue
		}
		if p.ApplicationID != "" && !equalFold(p.ApplicationID, c.AppID) {
			compound = true
			continue
		}
		if hasPermission(p.For(a.Kind), a.Permission) {
			if d.reason = inactive(v, c.ObjectID); d.reason != "" {
				return d
			}
			return decision{granted: true, reason: "an access policy has " + string(a.Kind) + "/" + a.Permission}
		}
		named = true
	}
	switch {
	case named:
		d.reason = "an access policy names this object id but lacks " + string(a.Kind) + "/" + a.Permission
	case compound:
		d.reason = "an access policy names this object id, but only together with another application"
	default:
		d.reason = "no access policy names this object id"
	}
	return d
}
