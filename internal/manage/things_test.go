package manage_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
)

func newVault(t *testing.T, c *manage.Client, name string, p manage.VaultProperties) manage.Whole[manage.Vault] {
	t.Helper()
	me := must(c.Me(t.Context()))(t)
	p.Policies = []manage.Policy{c.SecretPolicy(me, "all", "purge")}
	got, made, err := c.CreateVault(t.Context(), "lab", name, c.NewVault("local", p))
	if err != nil || !made {
		t.Fatalf("made %t: %v", made, err)
	}
	return got
}

func testVaults(t *testing.T, c *manage.Client) {
	newVault(t, c, "kv-life", manage.VaultProperties{})
	if _, made, err := c.CreateVault(t.Context(), "lab", "kv-life", c.NewVault("local", manage.VaultProperties{Roles: true})); made || err != nil {
		t.Errorf("made %t: %v", made, err)
	}
	_, _, err := c.CreateVault(t.Context(), "other", "kv-life", c.NewVault("local", manage.VaultProperties{}))
	wantError(t, err, "", "choose another name")
	yes := true
	if got := must(c.UpdateVault(t.Context(), "lab", "kv-life", manage.VaultChange{Roles: &yes}))(t); got.Is.Access() != "roles" || len(got.Is.Properties.Policies) != 1 {
		t.Errorf("after the update: %+v", got.Is)
	}
	if err := c.Vaults("lab").Delete(t.Context(), "kv-life"); err != nil {
		t.Fatal(err)
	}
	_, _, err = c.CreateVault(t.Context(), "lab", "kv-life", c.NewVault("local", manage.VaultProperties{}))
	wantError(t, err, "", "lanyard vault recover kv-life")
	if in := must(c.DeletedVaults(t.Context(), "other"))(t); len(in) != 0 {
		t.Errorf("the other group had %v", in)
	}
	was := must(c.DeletedVault(t.Context(), "KV-LIFE"))(t)
	if got := must(c.RecoverVault(t.Context(), was))(t); got.Is.Access() != "roles" || got.Is.Name != "kv-life" {
		t.Errorf("recovered: %+v", got.Is)
	}
	_, err = c.DeletedVault(t.Context(), "kv-life")
	wantError(t, err, `no deleted vault "kv-life"`, "lanyard vault list --deleted")

	newVault(t, c, "kv-safe", manage.VaultProperties{Protected: true})
	for _, name := range []string{"kv-life", "kv-safe"} {
		if err := c.Vaults("lab").Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.PurgeVault(t.Context(), must(c.DeletedVault(t.Context(), "kv-life"))(t)); err != nil {
		t.Error(err)
	}
	wantError(t, c.PurgeVault(t.Context(), must(c.DeletedVault(t.Context(), "kv-safe"))(t)), "purge protection", "goes by itself")
}

func testPolicies(t *testing.T, c *manage.Client) {
	const who = "5a1b6cf5-3f35-4b65-9d6c-0a4c1a1f2b3d"
	newVault(t, c, "kv-policies", manage.VaultProperties{})
	p := c.SecretPolicy(who, "get")
	p.Permissions.Keys = []string{"get"}
	must(c.Vaults("lab").Put(t.Context(), "kv-policies", c.NewVault("local", manage.VaultProperties{Policies: []manage.Policy{p}})))(t)
	of := func() (got manage.Permissions) {
		all, roles, err := c.Policies(t.Context(), "lab", "kv-policies")
		if err != nil || roles {
			t.Fatalf("roles %t: %v", roles, err)
		}
		for _, p := range manage.Parts(all) {
			if p.ObjectID == who {
				got = p.Permissions
			}
		}
		return got
	}
	if err := c.AddPolicy(t.Context(), "lab", "kv-policies", who, "list"); err != nil {
		t.Fatal(err)
	}
	if got := of(); !slices.Contains(got.Secrets, "get") || !slices.Contains(got.Secrets, "list") {
		t.Errorf("added: %+v", got)
	}
	if err := c.SetPolicy(t.Context(), "lab", "kv-policies", strings.ToUpper(who), "set"); err != nil {
		t.Fatal(err)
	}
	if got := of(); !slices.Equal(got.Secrets, []string{"set"}) || !slices.Equal(got.Keys, []string{"get"}) {
		t.Errorf("set: %+v", got)
	}
	for _, want := range []bool{true, false} {
		if had, err := c.RemovePolicy(t.Context(), "lab", "kv-policies", who); had != want || err != nil {
			t.Errorf("it had %t, want %t: %v", had, want, err)
		}
	}
	wantError(t, c.SetPolicy(t.Context(), "lab", "kv-none", who, "get"), `no vault "kv-none"`, "lanyard vault list")
}

func testRoles(t *testing.T, c *manage.Client) {
	reader, _ := access.RoleByName("Reader")
	scope := must(c.ScopePath(""))(t)
	id := must(c.Identities("lab").Put(t.Context(), "reading", manage.Identity{Location: "local"}))(t)
	p := manage.AssignmentProperties{RoleID: c.RoleID(reader.ID), PrincipalID: id.Is.Properties.PrincipalID}
	var first string
	for _, want := range []bool{true, false} {
		got, made, err := c.Assign(t.Context(), scope, p)
		if err != nil || made != want || got.Is.Role() != "Reader" || first != "" && got.Is.ID != first {
			t.Errorf("made %t, want %t: %+v, %v", made, want, got.Is, err)
		}
		first = got.Is.ID
	}
	if found := must(c.FindRole(t.Context(), scope, "Reader"))(t); !manage.SameRole(found, p.RoleID) {
		t.Errorf("Reader is %s", found)
	}
	_, err := c.FindRole(t.Context(), scope, "it's none")
	wantError(t, err, `no such role "it's none"`, "")
	if all := must(c.AssignmentsOf(scope, p.PrincipalID).List(t.Context()))(t); len(all) != 1 || !all[0].Is.Has(p.RoleID, scope) {
		t.Errorf("it has %+v", all)
	}
	if !manage.IsAssignment(first) || manage.IsAssignment(id.Is.ID) {
		t.Error("an assignment is not told from an identity")
	}
	if err := c.Assignments("", "").Delete(t.Context(), first); err != nil {
		t.Error(err)
	}
	wantError(t, c.Assignments("", "").Delete(t.Context(), first), "no role assignment", "lanyard role list")
	_, _, err = c.Assign(t.Context(), scope, manage.AssignmentProperties{RoleID: p.RoleID, PrincipalID: "5a1b6cf5-3f35-4b65-9d6c-0a4c1a1f2b3d"})
	wantError(t, err, "", "object ids are in")
	_, _, err = c.Assign(t.Context(), scope+"/resourceGroups/nowhere", p)
	wantError(t, err, "nothing has the id", "")
	_, err = c.ScopePath("lab")
	wantError(t, err, "no resource id", "/ is everything")
}

func testApplications(t *testing.T, c *manage.Client) {
	made := must(c.CreateApp(t.Context(), manage.NewApp{Name: "deployer", Years: 1}))(t)
	if made.Password == "" || made.PrincipalID == "" || made.Tenant != c.Tenant {
		t.Errorf("made %s of %s in %s, password %t", made.AppID, made.PrincipalID, made.Tenant, made.Password != "")
	}
	var before []manage.AppKey
	for range 2 {
		before = must(c.Applications().Get(t.Context(), made.AppID))(t).Is.Passwords
		again := must(c.ResetSecret(t.Context(), made.AppID, 2))(t)
		now := must(c.Applications().Get(t.Context(), made.AppID))(t).Is.Passwords
		if again.Password == "" || again.Password == made.Password || again.PrincipalID != made.PrincipalID || len(now) != 1 || now[0].KeyID == before[0].KeyID {
			t.Errorf("%d secrets became %d", len(before), len(now))
		}
	}
	if p := must(c.Principal(t.Context(), made.AppID))(t); p.ID != made.PrincipalID || p.Name != "deployer" {
		t.Errorf("its principal is %+v, want %s", p, made.PrincipalID)
	}
	if err := c.Applications().Delete(t.Context(), made.AppID); err != nil {
		t.Error(err)
	}
	wantError(t, c.Applications().Delete(t.Context(), made.AppID), "no application has the client id "+made.AppID, "lanyard app list")

	all := must(c.Applications().List(t.Context()))(t)
	if _, err := c.CreateApp(t.Context(), manage.NewApp{Name: "half", Years: 9000}); err == nil { // no time is so late
		t.Error("a secret is good for 9000 years")
	}
	if now := must(c.Applications().List(t.Context()))(t); len(now) != len(all) {
		t.Errorf("%d applications, want %d: it was not taken back", len(now), len(all))
	}
}

func testUsers(t *testing.T, c *manage.Client) {
	upn := c.FullName("alice")
	made := must(c.CreateUser(t.Context(), upn, "", manage.Password{Word: "correct horse battery 9", MustChange: true}))(t)
	if made.Is.UPN != upn || made.Is.Name != "alice" || !made.Is.Enabled {
		t.Errorf("made %+v", made.Is)
	}
	if got := must(c.Users().Get(t.Context(), made.Is.ID))(t); got.Is.UPN != upn {
		t.Errorf("by id it is %+v", got.Is)
	}
	if err := c.SetPassword(t.Context(), "alice", manage.Password{Word: "correct horse battery 8"}); err != nil {
		t.Error(err)
	}
	if err := c.UnlockUser(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	if names := c.PrincipalNames(t.Context(), []string{made.Is.ID}); names[made.Is.ID] != "alice" {
		t.Errorf("names %v", names)
	}
	for name, err := range map[string]error{
		"get":      func() error { _, err := c.Users().Get(t.Context(), "bob"); return err }(),
		"unlock":   c.UnlockUser(t.Context(), "bob"),
		"password": c.SetPassword(t.Context(), "bob", manage.Password{Word: "correct horse battery 7"}),
		"delete":   c.Users().Delete(t.Context(), "bob"),
	} {
		if !fault.IsAbsent(err) || !strings.Contains(err.Error(), c.FullName("bob")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Users().Delete(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
}

func testSecrets(t *testing.T, c *manage.Client) {
	newVault(t, c, "kv-secrets", manage.VaultProperties{})
	_, err := c.SecretVault("kv/../other")
	wantError(t, err, "no vault can have the name", "lanyard vault list")
	v := must(c.SecretVault("kv-secrets"))(t)
	var last manage.Secret
	for _, value := range []string{"one", "two"} {
		last = must(v.Set(t.Context(), "db", value, "note"))(t)
	}
	if got := must(v.Get(t.Context(), "db", ""))(t); got.Value != "two" || got.Version != last.Version || *got.Type != "note" {
		t.Errorf("got version %s, want %s", got.Version, last.Version)
	}
	if all := must(v.Versions(t.Context(), "db"))(t); len(all) != 2 || all[0].Value != "" {
		t.Errorf("the versions are %+v", all)
	}
	_, err = v.Versions(t.Context(), "none")
	wantError(t, err, `no secret "none" in the vault kv-secrets`, "lanyard secret list kv-secrets")
	_, err = v.Get(t.Context(), "none", "")
	wantError(t, err, "", "lanyard secret list kv-secrets")
	if err := v.Delete(t.Context(), "db"); err != nil {
		t.Fatal(err)
	}
	_, err = v.Set(t.Context(), "db", "three", "")
	wantError(t, err, "", "recover or purge it")
	if all := must(v.Deleted(t.Context()))(t); len(all) != 1 || all[0].Purge == nil {
		t.Errorf("deleted are %+v", all)
	}
	if err := v.Recover(t.Context(), "db"); err != nil {
		t.Error(err)
	}
	if all := must(v.List(t.Context()))(t); len(all) != 1 || all[0].Name != "db" {
		t.Errorf("there are %+v", all)
	}
	if err := v.Delete(t.Context(), "db"); err != nil {
		t.Fatal(err)
	}
	if err := v.Purge(t.Context(), "db"); err != nil {
		t.Error(err)
	}
	if _, err := c.RemovePolicy(t.Context(), "lab", "kv-secrets", must(c.Me(t.Context()))(t)); err != nil {
		t.Fatal(err)
	}
	_, err = v.List(t.Context())
	wantError(t, err, "", "lanyard policy list kv-secrets, or lanyard explain ")
}
