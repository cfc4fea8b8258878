package access

import (
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/model"
)

func TestRolesAreSound(t *testing.T) {
	ids, names := map[string]bool{}, map[string]bool{}
	for _, r := range Roles() {
		if !model.ValidUUID(r.ID) || r.ID != strings.ToLower(r.ID) || r.Name == "" || r.Description == "" {
			t.Errorf("role %+v is incomplete", r)
		}
		if ids[r.ID] || names[r.Name] {
			t.Errorf("role %s is there twice", r.Name)
		}
		ids[r.ID], names[r.Name] = true, true
		if len(r.Actions)+len(r.DataActions) == 0 {
			t.Errorf("role %s allows nothing", r.Name)
		}
	}
	for _, r := range Roles() {
		for _, id := range r.Assignable {
			if !ids[id] {
				t.Errorf("role %s may assign %s, which is no role", r.Name, id)
			}
		}
		if (r.Condition() == "") != (len(r.Assignable) == 0) {
			t.Errorf("role %s has the condition %q", r.Name, r.Condition())
		}
	}
}

func TestRolesAreCopies(t *testing.T) {
	Roles()[0].Actions[0] = "changed"
	r, ok := RoleByID(strings.ToUpper("8e3af657-a8ff-443c-a75c-2fe8c4bcb635"))
	if !ok || r.Name != "Owner" || r.Actions[0] != "*" {
		t.Errorf("RoleByID gives %+v, %v", r, ok)
	}
	r.Actions[0] = "changed"
	if r, ok = RoleByName("owner"); !ok || r.Actions[0] != "*" {
		t.Errorf("RoleByName gives %+v, %v", r, ok)
	}
	if _, ok := RoleByID(""); ok {
		t.Error("there is a role without an id")
	}
	if _, ok := RoleByName("nobody"); ok {
		t.Error("there is a role nobody")
	}
}

func TestWhatRolesAllow(t *testing.T) {
	const (
		vaultRead  = "Microsoft.KeyVault/vaults/read"
		vaultWrite = "Microsoft.KeyVault/vaults/write"
		idRead     = "Microsoft.ManagedIdentity/userAssignedIdentities/read"
		idWrite    = "Microsoft.ManagedIdentity/userAssignedIdentities/write"
		ficWrite   = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write"
		assign     = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
		roleRead   = "Microsoft.Authorization/roleAssignments/read"
		purge      = "Microsoft.KeyVault/locations/deletedVaults/purge/action"
		// what az aks get-credentials asks for, without and with --admin
		userCredential  = "Microsoft.ContainerService/managedClusters/listclusterusercredential/action"
		adminCredential = "Microsoft.ContainerService/managedClusters/listclusteradmincredential/action"
	)
	tests := []struct {
		role    string
		control []string // of those above, what it allows
		data    []string // of the data actions
	}{
		{"Owner", []string{vaultRead, vaultWrite, idRead, idWrite, ficWrite, assign, roleRead, purge, ActionWriteAssignment, userCredential, adminCredential}, nil},
		{"Contributor", []string{vaultRead, vaultWrite, idRead, idWrite, ficWrite, assign, roleRead, purge, userCredential, adminCredential}, nil},
		{"Reader", []string{vaultRead, idRead, roleRead}, nil},
		{"User Access Administrator", []string{vaultRead, idRead, roleRead, ActionWriteAssignment}, nil},
		{"Role Based Access Control Administrator", []string{vaultRead, idRead, roleRead, ActionWriteAssignment}, nil},
		{"Azure Kubernetes Service Cluster User Role", []string{userCredential}, nil},
		{"Azure Kubernetes Service Cluster Admin Role", []string{adminCredential}, nil},
		{"Azure Kubernetes Service Contributor Role", []string{userCredential, adminCredential}, nil},
		{"Managed Identity Contributor", []string{idRead, idWrite, ficWrite, roleRead}, nil},
		{"Managed Identity Operator", []string{idRead, assign, roleRead}, nil},
		{"Key Vault Contributor", []string{vaultRead, vaultWrite, roleRead}, nil},
		{"Key Vault Administrator", []string{vaultRead, roleRead}, dataActions},
		{"Key Vault Reader", []string{vaultRead, roleRead}, []string{ActionReadMetadata}},
		{"Key Vault Secrets Officer", []string{vaultRead, roleRead}, dataActions},
		{"Key Vault Secrets User", nil, []string{ActionGetSecret, ActionReadMetadata}},
		{"Key Vault Crypto Officer", []string{vaultRead, roleRead}, nil},
		{"Key Vault Crypto User", nil, nil},
		{"Key Vault Crypto Service Encryption User", nil, nil},
		{"Key Vault Certificates Officer", []string{vaultRead, roleRead}, nil},
		{"Key Vault Certificate User", nil, []string{ActionGetSecret, ActionReadMetadata}},
		{"Key Vault Purge Operator", []string{roleRead, purge}, nil},
		{"Key Vault Data Access Administrator", []string{vaultRead, roleRead}, nil},
	}
	control := []string{vaultRead, vaultWrite, idRead, idWrite, ficWrite, assign, roleRead, purge, ActionWriteAssignment, userCredential, adminCredential}
	compiled := compileRoles()
	if len(tests) != len(compiled) {
		t.Errorf("%d roles are tested, of %d", len(tests), len(compiled))
	}
	for _, tt := range tests {
		r, ok := RoleByName(tt.role)
		if !ok {
			t.Errorf("no role %s", tt.role)
			continue
		}
		allowed(t, compiled[r.ID], control, tt.control, false)
		allowed(t, compiled[r.ID], dataActions, tt.data, true)
	}
}

var dataActions = []string{
	ActionGetSecret, ActionSetSecret, ActionReadMetadata, ActionDeleteSecret,
	ActionRecoverSecret, ActionPurgeSecret, ActionBackupSecret, ActionRestoreSecret,
}

func allowed(t *testing.T, p *permissions, all, want []string, data bool) {
	t.Helper()
	expect := map[string]bool{}
	for _, a := range want {
		expect[a] = true
	}
	for _, a := range all {
		q := query{action: a, data: data}
		if got := q.allows(p); got != expect[a] {
			t.Errorf("%s allows %s: %v, want %v", p.name, a, got, expect[a])
		}
	}
}

// Whoever changes users and applications can be each of them, owners included,
// so only who could assign Owner may.
func TestWhoChangesTheDirectoryCouldAssignOwner(t *testing.T) {
	directory := []string{"Microsoft.Authorization/users/write", "Microsoft.Authorization/applications/write"}
	for id, p := range compileRoles() {
		for _, action := range directory {
			if p.control.match(action) && !(&query{action: ActionWriteAssignment, roleID: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"}).allows(p) {
				t.Errorf("role %s (%s) allows %s, and cannot assign Owner", p.name, id, action)
			}
		}
	}
}
