package az_test

import (
	"testing"
)

// TestHousekeeping is what people do with az around the vault and the identity,
// where az itself decides whether an answer will do: it waits for a state, edits
// what it read, or shows it.
func TestHousekeeping(t *testing.T) {
	for name, az := range clis(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, az, "--azure-names")
			admin := l.admin()
			l.ok("login", "--service-principal", "-u", admin.ClientID, "-p", admin.ClientSecret, "--tenant", admin.TenantID)
			groupID := l.text(l.json("group", "create", "--name", group, "--location", location), "id")

			// az waits until these states are there.
			l.ok("provider", "register", "--namespace", "Microsoft.ContainerService", "--wait")
			l.ok("provider", "unregister", "--namespace", "Microsoft.ContainerService", "--wait")

			l.tags(groupID)
			l.firewall()
			l.associations(groupID)
		})
	}
}

func (l *lab) tags(groupID string) {
	l.t.Helper()
	l.is(l.json("group", "update", "--name", group, "--set", "tags.number=1"), "tags.number", "1")
	l.is(l.json("tag", "update", "--resource-id", groupID, "--operation", "Merge", "--tags", "env=lab"), "properties.tags.number", "1")
	l.is(l.json("tag", "list", "--resource-id", groupID), "properties.tags.env", "lab")
	if n := l.ok("group", "list", "--tag", "env=lab", "--query", "length(@)"); n != "1" {
		l.t.Errorf("%s groups with the tag, want 1", n)
	}
}

func (l *lab) firewall() {
	l.t.Helper()
	l.is(l.json("keyvault", "check-name", "--name", vault), "nameAvailable", true)
	l.ok("keyvault", "create", "--name", vault, "--resource-group", group, "--location", location, "--enable-rbac-authorization", "false")
	l.ok("keyvault", "secret", "set", "--vault-name", vault, "--name", secretName, "--value", secret)
	l.is(l.json("keyvault", "update", "--name", vault, "--default-action", "Deny"), "properties.networkAcls.defaultAction", "Deny")
	l.fails("ForbiddenByFirewall", "keyvault", "secret", "show", "--vault-name", vault, "--name", secretName)
	l.ok("keyvault", "network-rule", "add", "--name", vault, "--ip-address", "127.0.0.1")
	l.ok("keyvault", "network-rule", "add", "--name", vault, "--ip-address", "127.0.0.1") // az sees that it is there
	if rules := l.ok("keyvault", "network-rule", "list", "--name", vault, "--query", "ipRules[].value", "-otsv"); rules != "127.0.0.1/32" {
		l.t.Errorf("the rules are %q, want 127.0.0.1/32 alone", rules)
	}
	l.is(l.json("keyvault", "secret", "show", "--vault-name", vault, "--name", secretName), "value", secret)
}

func (l *lab) associations(groupID string) {
	l.t.Helper()
	made := l.json("identity", "create", "--name", identity, "--resource-group", group)
	l.ok("role", "assignment", "create", "--role", "Azure Kubernetes Service Cluster User Role", "--assignee-object-id", l.text(made, "principalId"),
		"--assignee-principal-type", "ServicePrincipal", "--scope", groupID, "--description", "for the lab")
	if words := l.ok("role", "assignment", "list", "--scope", groupID, "--query", "[].description", "-otsv"); words != "for the lab" {
		l.t.Errorf("the assignment's description is %q", words)
	}
	l.fails("UnmatchedPrincipalType", "role", "assignment", "create", "--role", "Reader", "--assignee-object-id", l.text(made, "principalId"),
		"--assignee-principal-type", "User", "--scope", groupID)
	if list, _ := l.json("identity", "list-resources", "--name", identity, "--resource-group", group).([]any); len(list) != 0 {
		l.t.Errorf("the identity has %v, want nothing", list)
	}
	l.fails("ResourceNotFound", "aks", "get-credentials", "--name", "none", "--resource-group", group)
}
