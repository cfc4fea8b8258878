package az_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestDirectory is a pipeline that signs in as an application of its own: with a
// secret, and with the token of an identity provider elsewhere. Its right to the
// vault comes from a role.
func TestDirectory(t *testing.T) {
	for name, az := range clis(t) {
		if name != "az-2.91" {
			continue // what differs between the releases is in the walkthrough
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, az)
			l.setUp()
			l.ok("group", "create", "--name", group, "--location", location)
			vaultID := l.text(l.json("keyvault", "create", "--name", vault, "--resource-group", group, "--location", location), "id")
			me := l.ok("ad", "sp", "show", "--id", l.admin().ClientID, "--query", "id", "-otsv")
			l.ok("role", "assignment", "create", "--role", "Key Vault Secrets Officer", "--assignee-object-id", me, "--assignee-principal-type", "ServicePrincipal", "--scope", vaultID)
			l.ok("keyvault", "secret", "set", "--vault-name", vault, "--name", secretName, "--value", secret)

			app := l.json("ad", "sp", "create-for-rbac", "--name", "pipeline")
			appID := l.text(app, "appId")
			l.ok("role", "assignment", "create", "--role", "Key Vault Secrets User", "--assignee", appID, "--scope", vaultID)
			if list, _ := l.json("role", "assignment", "list", "--scope", vaultID).([]any); len(list) != 2 {
				t.Errorf("%d role assignments on the vault, want 2: %v", len(list), list)
			}
			pipeline := l.as("pipeline", func(u *lab) {
				u.ok("login", "--service-principal", "-u", appID, "-p", l.text(app, "password"), "--tenant", l.text(app, "tenant"))
			})
			pipeline.is(pipeline.json("keyvault", "secret", "show", "--vault-name", vault, "--name", secretName), "value", secret)
			pipeline.fails("Forbidden", "keyvault", "secret", "set", "--vault-name", vault, "--name", secretName, "--value", "x")

			l.federateApp(appID)
			token, err := os.ReadFile(l.cluster.serviceAccountToken(t, account))
			if err != nil {
				t.Fatal(err)
			}
			elsewhere := l.as("elsewhere", func(u *lab) {
				u.ok("login", "--service-principal", "-u", appID, "--federated-token", string(token), "--tenant", l.text(app, "tenant"))
			})
			elsewhere.is(elsewhere.json("keyvault", "secret", "show", "--vault-name", vault, "--name", secretName), "value", secret)

			l.ok("role", "assignment", "delete", "--assignee", appID, "--scope", vaultID)
			pipeline.fails("Forbidden", "keyvault", "secret", "show", "--vault-name", vault, "--name", secretName)
			l.ok("ad", "app", "delete", "--id", appID)
		})
	}
}

// federateApp trusts a cluster's service account to be the application.
func (l *lab) federateApp(appID string) {
	l.t.Helper()
	l.run(nil, l.lanyard, "cluster", "attach", aks, "-g", group, "--kubeconfig", l.cluster.kubeconfig(l.t), "--enable-oidc-issuer", "--data-dir", l.data)
	parameters, err := json.Marshal(map[string]any{
		"name": "elsewhere", "issuer": l.cluster.issuer.URL, "subject": subject, "audiences": []string{"api://AzureADTokenExchange"},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.ok("ad", "app", "federated-credential", "create", "--id", appID, "--parameters", string(parameters))
	if list, _ := l.json("ad", "app", "federated-credential", "list", "--id", appID).([]any); len(list) != 1 {
		l.t.Errorf("%d federated credentials, want 1: %v", len(list), list)
	}
}

// as is another user of az on the same machine, who has signed in.
func (l *lab) as(name string, signIn func(*lab)) *lab {
	l.t.Helper()
	other := *l
	other.env = append(l.env[:len(l.env):len(l.env)], "AZURE_CONFIG_DIR="+filepath.Join(l.home, name))
	b, err := os.ReadFile(filepath.Join(l.home, ".azure", "clouds.config"))
	if err != nil {
		l.t.Fatal(err)
	}
	dir := filepath.Join(l.home, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "clouds.config"), b, 0o600); err != nil {
		l.t.Fatal(err)
	}
	other.ok("config", "set", "core.instance_discovery=false", "--only-show-errors")
	other.ok("cloud", "set", "--name", "Lanyard")
	signIn(&other)
	return &other
}
