// Package terraform_test runs Terraform's azurerm provider, real and unmodified,
// against the built binary. It waits by itself for what Azure is slow at, two
// minutes for a vault, so these tests take minutes and hardly any work.
package terraform_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWorkload takes all that a workload needs through its life: made, read,
// changed in place, imported into an empty state, and destroyed. Two principals do
// so at once: an application with a secret, and a managed identity with the token
// of a service account.
func TestWorkload(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var app struct{ AppID, Password string }
	l.lanyardJSON(t, &app, "app", "create", "deployer")
	l.lanyard(t, "role", "assign", "Owner", "--app", app.AppID)
	identity := l.newDeployer(t)
	before := l.everything(t)

	t.Run("at-once", func(t *testing.T) {
		t.Run("client-secret", func(t *testing.T) {
			t.Parallel()
			w := l.newWorkload(t, "wl-secret")
			w.login = []string{"ARM_CLIENT_ID=" + app.AppID, "ARM_CLIENT_SECRET=" + app.Password}
			w.life(l, func() {
				w.login = append(w.login, "ARM_RESOURCE_PROVIDER_REGISTRATIONS=core")
			})
		})
		t.Run("oidc", func(t *testing.T) {
			t.Parallel()
			w := l.newWorkload(t, "wl-oidc")
			w.login = oidc(identity, l.token(t, "somebody-else"))
			w.fails([]string{"AADSTS700213"}, "plan")
			token := l.token(t, "deployer")
			w.login = oidc(identity, token)
			w.life(l, func() { // as in a pod that the webhook has seen to
				w.login = []string{"ARM_USE_AKS_WORKLOAD_IDENTITY=true", "AZURE_CLIENT_ID=" + identity, "AZURE_FEDERATED_TOKEN_FILE=" + token}
			})
		})
	})
	if diff := cmp.Diff(before, l.everything(t)); diff != "" {
		t.Errorf("destroyed, but not gone (-before +after):\n%s", diff)
	}
}

func oidc(clientID, tokenFile string) []string {
	return []string{"ARM_USE_OIDC=true", "ARM_CLIENT_ID=" + clientID, "ARM_OIDC_TOKEN_FILE_PATH=" + tokenFile}
}

// newDeployer makes a managed identity that the service account "deployer" may be,
// and that owns the subscription.
func (l *lab) newDeployer(t *testing.T) (clientID string) {
	t.Helper()
	var cluster struct {
		Properties struct {
			OIDC struct{ IssuerURL string } `json:"oidcIssuerProfile"`
		}
	}
	l.lanyardJSON(t, &cluster, "cluster", "show", "dev")
	var identity struct {
		Properties struct{ ClientID string }
	}
	l.lanyardJSON(t, &identity, "identity", "create", "deployer")
	l.lanyard(t, "credential", "create", "pod", "--identity", "deployer",
		"--issuer", cluster.Properties.OIDC.IssuerURL, "--subject", "system:serviceaccount:default:deployer")
	l.lanyard(t, "role", "assign", "Owner", "--identity", "deployer")
	return identity.Properties.ClientID
}

func (l *lab) newWorkload(t *testing.T, name string) *workspace {
	t.Helper()
	w := l.newWorkspace(t, "workload")
	w.set("name", name)
	w.set("account", "default:first")
	w.set("purpose", "shop")
	w.set("password", "correct horse")
	w.set("permissions", `["Get"]`)
	w.set("addresses", `["127.0.0.1"]`)
	return w
}

// life is from the first apply to nothing being left; signIn changes how the
// provider signs in half-way.
func (w *workspace) life(l *lab, signIn func()) {
	w.apply()
	w.planIsClean()
	w.isRead("correct horse")
	w.serves(l, "first", "correct horse")

	signIn()
	w.set("account", "default:second")
	w.set("purpose", "shop and store")
	w.set("password", "battery staple")
	w.set("permissions", `["Get", "List"]`)
	w.set("addresses", `["192.0.2.1", "127.0.0.0/8"]`)
	for address, change := range w.plan() {
		if does := change.does(); does != "no-op" && does != "update" {
			w.t.Errorf("%s: the plan is to %s, want a change in place", address, does)
		}
	}
	w.tofu("apply", "-no-color", "plan")
	w.planIsClean()
	w.isRead("battery staple")
	w.serves(l, "second", "battery staple")
	w.refuses(l, "first")

	w.importAll()
	w.planIsClean()

	w.tofu("destroy", "-auto-approve", "-no-color")
	if left := w.resources(); len(left) > 0 {
		w.t.Errorf("the state still has %v", left)
	}
}

// secretsUser is the role "Key Vault Secrets User".
const secretsUser = "4633458b-17de-408a-b874-0445c86b69e6"

// isRead checks what the data sources say.
func (w *workspace) isRead(password string) {
	w.t.Helper()
	want := map[string]any{
		"subscription": "Lanyard", "location": "westeurope", "principal": true, "policies": 2.0, "password": password,
		"secrets": []any{"password"}, "roles": []any{secretsUser}, "vaults": 3.0, "kubernetes": "1.37.2",
	}
	got, _ := w.outputs()["read"].(map[string]any)
	delete(got, "kubeconfig") // has a port of the system's choice; that it is there is enough
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("the data sources read (-want +got):\n%s", diff)
	}
}

// workload runs the sample workload, as a pod of this service account, with each
// of the vaults.
func (w *workspace) workload(l *lab, account string, check func(vault, log string, err error)) {
	w.t.Helper()
	outputs := w.outputs()
	vaults, _ := outputs["vaults"].([]any)
	if len(vaults) != 3 {
		w.t.Fatalf("the vaults are %v, want three", vaults)
	}
	for _, vault := range vaults {
		env := append(slices.Clone(l.env), "HOME="+l.home, "TMPDIR="+l.home, fmt.Sprint("KEYVAULT_URL=", vault), "SECRET_NAME=password",
			fmt.Sprint("AZURE_CLIENT_ID=", outputs["client_id"]), "AZURE_FEDERATED_TOKEN_FILE="+l.token(w.t, account))
		_, log, err := run(w.t, command{env: env, name: l.bin, args: []string{"quickstart", "--once"}})
		check(fmt.Sprint(vault), log, err)
	}
}

func (w *workspace) serves(l *lab, account, password string) {
	w.t.Helper()
	w.workload(l, account, func(vault, log string, err error) {
		if err != nil || !strings.Contains(log, fmt.Sprintf("secret=%q", password)) {
			w.t.Errorf("the workload does not get its secret from %s: %v\n%s", vault, err, log)
		}
	})
}

func (w *workspace) refuses(l *lab, account string) {
	w.t.Helper()
	w.workload(l, account, func(vault, log string, err error) {
		if err == nil || !strings.Contains(log, "AADSTS700213") {
			w.t.Errorf("%s: the account that was taken out is not refused: %v\n%s", vault, err, log)
		}
	})
}

// importAll loses the state, and gets it back resource by resource.
func (w *workspace) importAll() {
	w.t.Helper()
	ids := w.resources()
	if len(ids) != 13 {
		w.t.Fatalf("the state has %d resources, want 13: %v", len(ids), ids)
	}
	if err := os.Remove(filepath.Join(w.dir, "terraform.tfstate")); err != nil {
		w.t.Fatal(err)
	}
	blocks := filepath.Join(w.dir, "import.tf")
	var text []byte
	for _, address := range slices.Sorted(maps.Keys(ids)) {
		text = fmt.Appendf(text, "import {\n  to = %s\n  id = %q\n}\n", address, ids[address])
	}
	writeFile(w.t, blocks, text)

	got := map[string]string{}
	for address, change := range w.plan() {
		if change.Change.Importing == nil {
			w.t.Errorf("%s is not imported", address)
		}
		if does := change.does(); does != "no-op" {
			got[address] = does
		}
	}
	// A value that is only written is not read back, so it is set once more.
	want := map[string]string{"azurerm_key_vault_secret.beside": "update"}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("imported, these are to change (-want +got):\n%s", diff)
	}
	w.tofu("apply", "-no-color", "plan")
	if err := os.Remove(blocks); err != nil {
		w.t.Fatal(err)
	}
}

// TestRefused checks what the provider says of what the server does not have, or
// would not keep: never nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	w := l.newWorkspace(t, "refused")
	w.login = oidc(l.newDeployer(t), l.token(t, "deployer"))
	l.lanyard(t, "vault", "create", "kv-refused")
	w.fails([]string{
		"keys, certificates and storage accounts are not supported by this server",
		"this server does not isolate regions",
		"The property 'condition' is not supported",
		"this server has built-in roles only",
		"clusters cannot be created here",
		"The resource namespace 'Microsoft.Storage' is invalid: this server does not have it",
	}, "apply", "-auto-approve")
}
