// Package az_test runs the real Azure CLI, as it comes from PyPI, against the
// built binary: a person's whole way from signing in to a workload that reads
// its secret, and back to an empty subscription.
package az_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the lines below are about.
const (
	group      = "workshop-rg"
	location   = "eastus"
	vault      = "workshop-kv"
	aks        = "akscluster"
	secretName = "mysecret"
	secret     = `LevelUp Lab Secret\!`
	identity   = "workshop-Identity"
	account    = "workload-identity-sa"
	subject    = "system:serviceaccount:default:" + account
	credential = "myfederatedIdentity"
)

// clis are the az to run, from the environment that test/clients/az/run sets.
func clis(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, variable := range map[string]string{"az-2.91": "LANYARD_AZ_2_91", "az-2.60": "LANYARD_AZ_2_60"} {
		if path := os.Getenv(variable); path != "" {
			found[name] = path
		}
	}
	if len(found) == 0 {
		t.Skip("NOT RUN: no Azure CLI is installed; use test/clients/az/run, or make test")
	}
	return found
}

func TestWalkthrough(t *testing.T) {
	for name, az := range clis(t) {
		t.Run(name+"/own-names", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, az)
			settings := l.settings()
			l.setUp()
			l.walk()
			l.setUp() // once more changes nothing
			l.tearDown(settings)
		})
		t.Run(name+"/azure-names", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, az, "--azure-names")
			admin := l.admin()
			l.ok("login", "--service-principal", "-u", admin.ClientID, "-p", admin.ClientSecret, "--tenant", admin.TenantID)
			l.walk()
			l.ok("logout")
			l.is(l.json("cloud", "show"), "name", "AzureCloud")
		})
	}
}

type admin struct{ TenantID, SubscriptionID, ClientID, ClientSecret string }

func (l *lab) admin() (a admin) {
	l.t.Helper()
	b, err := os.ReadFile(filepath.Join(l.data, "admin.json"))
	if err != nil {
		l.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &a); err != nil {
		l.t.Fatal(err)
	}
	return a
}

// walk is the whole walkthrough, signed in already.
func (l *lab) walk() {
	l.prepare()
	l.registerFeatures()
	l.addExtension()
	issuer := l.enableIssuer()
	clientID := l.makeIdentity()
	url := l.storeSecret(clientID)
	l.getCredentials()
	if log, err := l.workload(clientID, url); err == nil || !strings.Contains(log, "AADSTS") {
		l.t.Errorf("a workload without a federated credential: %v\n%s", err, log)
	}
	l.federate(issuer)
	l.workloadRuns(clientID, url)
	l.troubleshoot(clientID, url)
	l.cleanUp(clientID, url)
}

// prepare is what exists before the walkthrough begins.
func (l *lab) prepare() {
	l.t.Helper()
	l.is(l.json("account", "show"), "id", l.admin().SubscriptionID)
	l.is(l.json("group", "create", "--name", group, "--location", location), "properties.provisioningState", "Succeeded")
	l.is(l.json("keyvault", "create", "--name", vault, "--resource-group", group, "--location", location,
		"--enable-rbac-authorization", "false"), "properties.provisioningState", "Succeeded")
	l.fails("attach one that exists", "aks", "create", "--resource-group", group, "--name", aks, "--no-ssh-key")
	l.run(nil, l.lanyard, "cluster", "attach", aks, "-g", group, "--kubeconfig", l.cluster.kubeconfig(l.t), "--data-dir", l.data)
}

func (l *lab) registerFeatures() {
	l.t.Helper()
	flags := []string{"--namespace", "Microsoft.ContainerService", "--name", "EnableWorkloadIdentityPreview"}
	l.is(l.json(append([]string{"feature", "show"}, flags...)...), "properties.state", "NotRegistered")
	l.is(l.json(append([]string{"feature", "register"}, flags...)...), "properties.state", "Registering")
	l.is(l.json(append([]string{"feature", "show"}, flags...)...), "properties.state", "Registered")
	l.ok("provider", "register", "--namespace", "Microsoft.ContainerService")
	l.is(l.json("provider", "show", "--namespace", "Microsoft.ContainerService"), "registrationState", "Registered")
}

func (l *lab) addExtension() {
	l.t.Helper()
	l.ok("extension", "add", "--name", "aks-preview")
	l.ok("extension", "update", "--name", "aks-preview")
	list, _ := l.json("extension", "list").([]any)
	if len(list) != 1 {
		l.t.Fatalf("%d extensions, want aks-preview only: %v", len(list), list)
	}
	l.is(list[0], "name", "aks-preview")
}

func (l *lab) enableIssuer() (issuer string) {
	l.t.Helper()
	updated := l.json("aks", "update", "--resource-group", group, "--name", aks, "--enable-oidc-issuer", "--enable-workload-identity")
	l.is(updated, "securityProfile.workloadIdentity.enabled", true)
	issuer = l.ok("aks", "show", "-n", aks, "-g", group, "--query", "oidcIssuerProfile.issuerUrl", "-otsv")
	if issuer != l.cluster.issuer.URL {
		l.t.Errorf("the issuer is %q, want the one that tokens carry, %q", issuer, l.cluster.issuer.URL)
	}
	return issuer
}

func (l *lab) makeIdentity() (clientID string) {
	l.t.Helper()
	made := l.json("identity", "create", "--name", identity, "--resource-group", group, "--location", location, "--subscription", l.admin().SubscriptionID)
	l.is(made, "tenantId", l.admin().TenantID)
	l.text(made, "principalId")
	clientID = l.ok("identity", "show", "--resource-group", group, "--name", identity, "--query", "clientId", "-otsv")
	l.is(made, "clientId", clientID)
	return clientID
}

func (l *lab) storeSecret(clientID string) (url string) {
	l.t.Helper()
	first := l.text(l.json("keyvault", "secret", "set", "--vault-name", vault, "--name", secretName, "--value", "to be replaced"), "id")
	stored := l.json("keyvault", "secret", "set", "--vault-name", vault, "--name", secretName, "--value", secret)
	l.is(stored, "value", secret)
	if l.text(stored, "id") == first {
		l.t.Errorf("setting a secret again keeps its version %s", first)
	}
	l.ok("keyvault", "set-policy", "--name", vault, "--secret-permissions", "get", "--spn", clientID)
	policies, _ := at(l.json("keyvault", "show", "-g", group, "-n", vault), "properties.accessPolicies").([]any)
	if len(policies) != 2 {
		l.t.Errorf("%d access policies, want the admin's and the identity's: %v", len(policies), policies)
	}
	url = l.ok("keyvault", "show", "-g", group, "-n", vault, "--query", "properties.vaultUri", "-o", "tsv")
	if !strings.HasPrefix(url, "https://"+vault+".vault.") || !strings.HasSuffix(url, "/") {
		l.t.Errorf("the vault's URL is %q", url)
	}
	return url
}

func (l *lab) getCredentials() {
	l.t.Helper()
	l.ok("aks", "get-credentials", "--resource-group", group, "--name", aks, "--admin")
	b, err := os.ReadFile(filepath.Join(l.home, ".kube", "config"))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, want := range []string{"current-context: " + aks + "-admin", "server: " + l.cluster.api.URL, "token: " + clusterToken, "clusterAdmin_" + group + "_" + aks} {
		if !strings.Contains(string(b), want) {
			l.t.Errorf("the kubeconfig lacks %q:\n%s", want, b)
		}
	}
}

func (l *lab) federate(issuer string) {
	l.t.Helper()
	made := l.json("identity", "federated-credential", "create", "--name", credential, "--identity-name", identity,
		"--resource-group", group, "--issuer", issuer, "--subject", subject)
	l.is(made, "subject", subject)
	l.is(made, "issuer", issuer)
}

// workload is the pod: the sample program with what the webhook gives it.
func (l *lab) workload(clientID, url string) (log string, err error) {
	l.t.Helper()
	_, log, err = l.try([]string{
		"KEYVAULT_URL=" + url, "SECRET_NAME=" + secretName, "AZURE_CLIENT_ID=" + clientID,
		"AZURE_FEDERATED_TOKEN_FILE=" + l.cluster.serviceAccountToken(l.t, account),
	}, l.lanyard, "quickstart", "--once")
	return log, err
}

func (l *lab) workloadRuns(clientID, url string) {
	l.t.Helper()
	log, err := l.workload(clientID, url)
	if want := `"successfully got secret" secret="LevelUp Lab Secret\\!"`; err != nil || !strings.Contains(log, want) {
		l.t.Errorf("the workload: %v\n%s\nwant %s", err, log, want)
	}
}

// troubleshoot is what the lab tells people to look at, and to try again.
func (l *lab) troubleshoot(clientID, url string) {
	l.t.Helper()
	l.is(l.json("identity", "federated-credential", "show", "--name", credential, "--identity-name", identity, "--resource-group", group), "subject", subject)
	if list, _ := l.json("identity", "federated-credential", "list", "--identity-name", identity, "--resource-group", group).([]any); len(list) != 1 {
		l.t.Errorf("%d federated credentials, want 1", len(list))
	}
	l.is(l.json("keyvault", "secret", "show", "--vault-name", vault, "--name", secretName), "value", secret)
	l.is(l.json("aks", "show", "-n", aks, "-g", group), "oidcIssuerProfile.enabled", true)
	l.fails("cannot be set here", "aks", "update", "-n", aks, "-g", group, "--tier", "standard")
	l.workloadRuns(clientID, url)
}

func (l *lab) cleanUp(clientID, url string) {
	l.t.Helper()
	l.ok("identity", "federated-credential", "delete", "--name", credential, "--identity-name", identity, "--resource-group", group, "--yes")
	if log, err := l.workload(clientID, url); err == nil {
		l.t.Errorf("the workload still gets the secret without its federated credential\n%s", log)
	}
	l.ok("keyvault", "delete-policy", "--name", vault, "--spn", clientID)
	l.ok("keyvault", "secret", "delete", "--vault-name", vault, "--name", secretName)
	l.ok("identity", "delete", "--name", identity, "--resource-group", group)
	l.ok("aks", "delete", "--name", aks, "--resource-group", group, "--yes")
	l.ok("keyvault", "delete", "--name", vault, "--resource-group", group)
	l.ok("keyvault", "purge", "--name", vault, "--location", location)
	l.ok("group", "delete", "--name", group, "--yes")
	if exists := l.ok("group", "exists", "--name", group); exists != "false" {
		l.t.Errorf("az group exists prints %q after the deletion", exists)
	}
	l.ok("extension", "remove", "--name", "aks-preview")
}

// settings makes and reads the settings of a user who has used az before.
func (l *lab) settings() string {
	l.t.Helper()
	l.ok("config", "set", "core.instance_discovery=true", "defaults.location=westeurope", "--only-show-errors")
	b, err := os.ReadFile(filepath.Join(l.home, ".azure", "config"))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

func (l *lab) setUp() {
	l.t.Helper()
	args := []string{"az", "setup", "--data-dir", l.data, "--az", l.az}
	out, words, err := l.try(nil, l.lanyard, args...)
	if err != nil || !strings.Contains(words, "$ az login --service-principal") {
		l.t.Fatalf("lanyard az setup: %v\n%s", err, words)
	}
	if strings.Contains(out+words, l.admin().ClientSecret) {
		l.t.Error("lanyard az setup prints the admin's secret")
	}
	left, err := filepath.Glob(filepath.Join(l.data, ".az-*"))
	if err != nil || len(left) > 0 {
		l.t.Errorf("lanyard az setup leaves %v: %v", left, err)
	}
	l.is(l.json("cloud", "show"), "name", "Lanyard")
}

// tearDown takes back what setup did: az's settings are as they were.
func (l *lab) tearDown(settings string) {
	l.t.Helper()
	l.run(nil, l.lanyard, "az", "teardown", "--data-dir", l.data, "--az", l.az)
	l.is(l.json("cloud", "show"), "name", "AzureCloud")
	if clouds := l.ok("cloud", "list", "--query", "[].name", "-otsv"); strings.Contains(clouds, "Lanyard") {
		l.t.Errorf("az still has the cloud after teardown: %s", clouds)
	}
	b, err := os.ReadFile(filepath.Join(l.home, ".azure", "config"))
	if err != nil {
		l.t.Fatal(err)
	}
	if got, want := values(string(b)), values(settings); !slices.Equal(got, want) {
		l.t.Errorf("az's settings after teardown are %q, want %q", got, want)
	}
	if list, _ := l.json("account", "list").([]any); len(list) != 0 {
		l.t.Errorf("az still has accounts after teardown: %v", list)
	}
}

// values is the settings of an az configuration; the headers of empty sections
// and the note of the active cloud do not count.
func values(config string) (lines []string) {
	for line := range strings.Lines(config) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '[' && line != "name = AzureCloud" {
			lines = append(lines, line)
		}
	}
	return lines
}
