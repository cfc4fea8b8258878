package arm_test

import (
	"strings"
	"testing"
)

const (
	vaultContributorRole = "f25e0fa2-a7c8-4377-a976-54943a77a395"
	accessAdminRole      = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
)

// vaultWith is a PUT of a vault with more properties.
func vaultWith(more string) string {
	return strings.Replace(plainVault, `"accessPolicies":[]`, more, 1)
}

func TestWhoMayChangeThePermissionModel(t *testing.T) {
	mine := `"accessPolicies":[{"tenantId":"` + tenant + `","objectId":"` + reader + `","permissions":{"secrets":["get"]}}]`
	l := newLab(t).withGroup()
	l.must(200, "PUT", vaults+"/kv-roles", vaultWith(`"enableRbacAuthorization":true`))
	l.must(200, "PUT", vaults+"/kv-policies", vaultWith(`"enableRbacAuthorization":false`))
	l.grant(labGroup, vaultContributorRole, reader)
	l.grant(labGroup, delegateRole, reader) // may assign, but certain roles only
	l.grant(labGroup, contributorRole, nobody)
	l.grant(vaults+"/kv-roles", accessAdminRole, nobody)

	for _, tt := range []struct {
		name, who, method, path, body string
		status                        int
	}{
		{"policies by patch", "reader", "PATCH", "/kv-roles", `{"properties":{"enableRbacAuthorization":false,` + mine + `}}`, 403},
		{"policies by put", "reader", "PUT", "/kv-roles", vaultWith(`"enableRbacAuthorization":false,` + mine), 403},
		{"roles by patch", "reader", "PATCH", "/kv-policies", `{"properties":{"enableRbacAuthorization":true}}`, 403},
		{"roles by put", "reader", "PUT", "/kv-policies", vaultWith(`"enableRbacAuthorization":true`), 403},
		{"create mode recover", "reader", "PUT", "/kv-roles", vaultWith(`"createMode":"recover","enableRbacAuthorization":false`), 403},
		{"same by put", "reader", "PUT", "/kv-roles", vaultWith(`"enableRbacAuthorization":true`), 200},
		{"same by patch", "reader", "PATCH", "/kv-policies", `{"properties":{"enableRbacAuthorization":false}}`, 200},
		{"none by put", "reader", "PUT", "/kv-roles?api-version=2023-07-01", vaultWith(mine), 200},
		{"none by new put", "reader", "PUT", "/kv-policies?api-version=2026-02-01", plainVault, 200},
		{"null by put", "reader", "PUT", "/kv-roles", vaultWith(`"enableRbacAuthorization":null`), 200},
		{"another vault's right", "nobody", "PATCH", "/kv-policies", `{"properties":{"enableRbacAuthorization":true}}`, 403},
		{"new with policies", "reader", "PUT", "/kv-new", vaultWith(`"enableRbacAuthorization":false,` + mine), 200},
	} {
		a := l.as(tt.who, tt.method, vaults+tt.path, tt.body)
		if a.status != tt.status || a.status == 403 && a.code() != "InsufficientPermissions" {
			t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.code(), tt.status)
		}
	}
	for name, want := range map[string]bool{"kv-roles": true, "kv-policies": false} {
		if got := l.must(200, "GET", vaults+"/"+name, "").properties()["enableRbacAuthorization"]; got != want {
			t.Errorf("%s has enableRbacAuthorization %v after it all, want %v", name, got, want)
		}
	}
	if a := l.as("nobody", "PATCH", vaults+"/kv-roles", `{"properties":{"enableRbacAuthorization":false}}`); a.status != 200 {
		t.Errorf("with the right to assign any role: %d %s", a.status, a.code())
	}
}

func TestRecoveredVaultKeepsItsPermissionModel(t *testing.T) {
	l := newLab(t).withGroup()
	l.must(200, "PUT", vaults+"/kv-roles", vaultWith(`"enableRbacAuthorization":true`))
	l.must(200, "DELETE", vaults+"/kv-roles", "")
	l.grant(labGroup, contributorRole, reader)
	if a := l.as("reader", "PUT", vaults+"/kv-roles", vaultWith(`"enableRbacAuthorization":false`)); a.status != 409 {
		t.Errorf("made anew over the deleted one: %d %s", a.status, a.code())
	}
	back := l.as("reader", "PUT", vaults+"/kv-roles", vaultWith(`"createMode":"recover","enableRbacAuthorization":false,"accessPolicies":[{"tenantId":"`+tenant+
		`","objectId":"`+reader+`","permissions":{"secrets":["get"]}}]`))
	p := back.properties()
	if policies, _ := p["accessPolicies"].([]any); back.status != 200 || p["enableRbacAuthorization"] != true || len(policies) != 0 {
		t.Errorf("recovered: %d %v", back.status, p)
	}
}
