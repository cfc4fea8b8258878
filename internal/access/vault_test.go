package access

import (
	"errors"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// permissionOf is what access policies have for each data action on secrets.
var permissionOf = map[string]string{
	ActionGetSecret: "get", ActionSetSecret: "set", ActionReadMetadata: "list", ActionDeleteSecret: "delete",
	ActionRecoverSecret: "recover", ActionPurgeSecret: "purge", ActionBackupSecret: "backup", ActionRestoreSecret: "restore",
}

func ask(action, path string) VaultAction {
	return VaultAction{Action: action, Kind: model.Secrets, Permission: permissionOf[action], Path: path}
}

func TestCheckVaultByRoles(t *testing.T) {
	w := newWorld(t)
	vault := &model.Vault{Resource: model.Resource{ID: vaultID, Name: "kv"}, TenantID: tenant, Roles: true,
		Policies: []model.AccessPolicy{{TenantID: tenant, ObjectID: "policy", Secrets: []string{"get"}}}}
	w.assign("owner", ownerID, "/")
	w.assign("user", secretsUser, group)
	w.assign("one", secretsUser, vaultID+"/secrets/Db")
	w.assign("officer", secretsOfficer, "/")
	foreign := caller("officer")
	foreign.TenantID = ""

	tests := []struct {
		name         string
		caller       model.Caller
		action, path string
		granted      bool
		reason       string
	}{
		{"user-gets", caller("user"), ActionGetSecret, "secrets/db", true, "role Key Vault Secrets User at " + group},
		{"user-lists", caller("user"), ActionReadMetadata, "secrets", true, ""},
		{"user-sets", caller("user"), ActionSetSecret, "secrets/db", false, "allows " + ActionSetSecret},
		{"officer-purges", caller("officer"), ActionPurgeSecret, "secrets/db", true, ""},
		{"owner-has-no-data", caller("owner"), ActionGetSecret, "secrets/db", false, "holds Owner at /"},
		{"one-secret", caller("one"), ActionGetSecret, "secrets/db/0123", true, ""},
		{"another-secret", caller("one"), ActionGetSecret, "secrets/db2", false, ""},
		{"all-secrets", caller("one"), ActionReadMetadata, "secrets", false, ""},
		{"policies-do-not-count", caller("policy"), ActionGetSecret, "secrets/db", false, "holds no role"},
		{"no-tenant", foreign, ActionGetSecret, "secrets/db", false, "another tenant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, id := w.ctx()
			err := w.gate.CheckVault(ctx, w.view(), tt.caller, vault, ask(tt.action, tt.path))
			r := w.verdict(id, err, tt.granted)
			if !strings.Contains(r.Reason, tt.reason) || r.Resource != vaultID+"/"+tt.path {
				t.Errorf("record %+v, want reason %q", r, tt.reason)
			}
			if d, ok := errors.AsType[*Denied](err); ok && (d.Permission != "" || d.Scope != vaultID || r.Code != "ForbiddenByRbac") {
				t.Errorf("refusal %+v, code %s", d, r.Code)
			}
		})
	}
}

func TestCheckVaultByPolicies(t *testing.T) {
	w := newWorld(t)
	policy := func(objectID string, permissions ...string) model.AccessPolicy {
		return model.AccessPolicy{TenantID: strings.ToUpper(tenant), ObjectID: objectID, Secrets: permissions}
	}
	compound := policy("compound", "get")
	compound.ApplicationID = "another"
	through := policy("through", "get")
	through.ApplicationID = "APP"
	abroad := policy("abroad", "get")
	abroad.TenantID = model.NewUUID()
	keys := policy("keys")
	keys.Keys = []string{"all"}
	vault := &model.Vault{Resource: model.Resource{ID: vaultID, Name: "kv"}, TenantID: tenant, Policies: []model.AccessPolicy{
		policy("user", "Get", "list"), policy("twice", "get"), policy("twice", "set"), policy("all", "all"),
		policy("purger", "all", "purge"), policy("", "all"), compound, through, abroad, keys,
	}}
	w.principals("user", "twice", "all", "purger", "compound", "through", "abroad", "keys")
	w.assign("officer", secretsOfficer, "/")
	foreign := caller("user")
	foreign.TenantID = abroad.TenantID

	tests := []struct {
		name    string
		caller  model.Caller
		granted []string
		reason  string // of the first refusal
	}{
		{"user", caller("USER"), []string{ActionGetSecret, ActionReadMetadata}, "an access policy names this object id but lacks secrets/set"},
		{"two-policies", caller("twice"), []string{ActionGetSecret, ActionSetSecret}, "lacks secrets/list"},
		{"all-but-purge", caller("all"), without(dataActions, ActionPurgeSecret), "lacks secrets/purge"},
		{"all-and-purge", caller("purger"), dataActions, ""},
		{"nobody", caller("nobody"), nil, "no access policy names this object id"},
		{"no-object-id", caller(""), nil, "names no object id"},
		{"through-its-application", caller("through"), []string{ActionGetSecret}, "lacks secrets/set"},
		{"through-another-application", caller("compound"), nil, "only together with another application"},
		{"policy-of-another-tenant", caller("abroad"), nil, "no access policy names this object id"},
		{"caller-of-another-tenant", foreign, nil, "another tenant"},
		{"other-kinds-of-permission", caller("keys"), nil, "lacks secrets/get"},
		{"roles-do-not-count", caller("officer"), nil, "no access policy names this object id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reason := ""
			for _, action := range dataActions {
				ctx, id := w.ctx()
				granted := len(without(tt.granted, action)) < len(tt.granted)
				err := w.gate.CheckVault(ctx, w.view(), tt.caller, vault, ask(action, "secrets/db"))
				r := w.verdict(id, err, granted)
				if d, ok := errors.AsType[*Denied](err); ok && (d.Permission != permissionOf[action] || d.Scope != vaultID || r.Code != "AccessDenied") {
					t.Errorf("refusal %+v, code %s", d, r.Code)
				}
				if !granted && reason == "" {
					reason = r.Reason
				}
			}
			if !strings.Contains(reason, tt.reason) {
				t.Errorf("reason %q, want %q", reason, tt.reason)
			}
		})
	}

	ctx, id := w.ctx()
	r := w.verdict(id, w.gate.CheckVault(ctx, w.view(), caller("purger"), vault, ask("Microsoft.KeyVault/vaults/keys/sign/action", "keys/k")), false)
	if !strings.Contains(r.Reason, "know no permission") {
		t.Errorf("reason %q", r.Reason)
	}
}

// A token outlives the principal that it was issued to by hours; its rights do not.
func TestRightsEndWithThePrincipal(t *testing.T) {
	w := newWorld(t)
	app := &model.Application{AppID: "app-id", ObjectID: "app-object", PrincipalID: "app"}
	user := &model.User{ObjectID: "user", UPN: "u@lanyard.test", Stamp: "s"}
	identity := &model.Identity{Resource: model.Resource{ID: "/identities/i", Name: "i"}, ClientID: "i-id", PrincipalID: "identity"}
	byPolicy := &model.Vault{Resource: model.Resource{ID: vaultID, Name: "kv"}, TenantID: tenant}
	byRole := *byPolicy
	byRole.Roles = true
	for _, o := range []model.Object{app, user, identity} {
		w.put(o)
	}
	for _, id := range []string{"app", "user", "identity"} {
		byPolicy.Policies = append(byPolicy.Policies, model.AccessPolicy{TenantID: tenant, ObjectID: id, Secrets: []string{"get"}})
		w.assignOnly(id, secretsUser, group)
		w.assignOnly(id, readID, group)
	}
	want := func(id string, granted bool, reason string) {
		t.Helper()
		for _, vault := range []*model.Vault{byPolicy, &byRole} {
			ctx, request := w.ctx()
			r := w.verdict(request, w.gate.CheckVault(ctx, w.view(), caller(id), vault, ask(ActionGetSecret, "secrets/db")), granted)
			if !strings.Contains(r.Reason, reason) {
				t.Errorf("%s: reason %q, want %q", id, r.Reason, reason)
			}
		}
		ctx, request := w.ctx()
		w.verdict(request, w.gate.Check(ctx, w.view(), caller(id), read, vaultID), granted)
	}
	for _, id := range []string{"app", "user", "identity"} {
		want(id, true, "")
	}
	disabledApp, disabledUser := *app, *user
	disabledApp.Disabled, disabledUser.Disabled = true, true
	w.put(&disabledApp)
	w.put(&disabledUser)
	want("app", false, "is disabled")
	want("user", false, "is disabled")
	for _, o := range []model.Object{app, user, identity} {
		if err := w.store.Delete(t.Context(), o.Key(), store.Any); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"app", "user", "identity"} {
		want(id, false, "was deleted")
	}
	w.put(app)
	want("app", true, "")
}

func without(list []string, item string) []string {
	var rest []string
	for _, s := range list {
		if s != item {
			rest = append(rest, s)
		}
	}
	return rest
}

func BenchmarkDecideVault(b *testing.B) {
	w := newWorld(b)
	for _, other := range []string{"a", "b", "c", "d"} {
		w.assign("user", readID, sub+"/resourceGroups/other-"+other)
	}
	w.assign("user", secretsUser, group)
	vault := &model.Vault{Resource: model.Resource{ID: vaultID}, TenantID: tenant}
	for range 20 {
		vault.Policies = append(vault.Policies, model.AccessPolicy{TenantID: tenant, ObjectID: model.NewUUID(), Secrets: []string{"list", "get"}})
	}
	vault.Policies = append(vault.Policies, model.AccessPolicy{TenantID: tenant, ObjectID: "user", Secrets: []string{"list", "get"}})
	v, c, get := w.view(), caller("user"), ask(ActionGetSecret, "secrets/db")
	for name, roles := range map[string]bool{"policies": false, "roles": true} {
		b.Run(name, func(b *testing.B) {
			vault := *vault
			vault.Roles = roles
			b.ReportAllocs()
			for b.Loop() {
				if !w.gate.decideVault(v, &c, &vault, &get, vault.ID+"/secrets/db").granted {
					b.Fatal("refused")
				}
			}
		})
	}
}
