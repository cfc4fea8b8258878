package cluster_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shop is the namespace of the manual's example.
const shop = "shop"

// testExternalSecrets lets External Secrets Operator read and write a vault, with
// the manual's own manifests.
func testExternalSecrets(t *testing.T, c *cluster) {
	built := os.Getenv("LANYARD_EXTERNAL_SECRETS")
	if built == "" {
		cannotRun(t, "LANYARD_EXTERNAL_SECRETS is not set: use test/cluster/run, or make test")
	}
	s := newServer(t, c, "--address", "lanyard.test", "--listen", nodeAddress+":443", "--adfs", "--azure-names", "--webhook", nodeAddress+":9443")
	c.namespace(t, shop)
	s.must(s.bin, "vault", "create", "kv-shop")
	s.lanyard(nil, "cluster", "attach", "dev", "--kubeconfig", c.kubeconfig(), "--enable-oidc-issuer", "--enable-workload-identity", "--host-alias", nodeAddress)
	var account struct{ ClientID string }
	s.lanyard(&account, "serviceaccount", "create", "secrets", "-n", shop, "--kubeconfig", c.kubeconfig())
	s.lanyard(nil, "policy", "set", "kv-shop", "--identity", "shop-secrets", "--secrets", "get,list,set,delete")
	s.lanyard(nil, "credential", "create", "operator", "--identity", "shop-secrets", "--issuer", issuer, "--subject", "system:serviceaccount:external-secrets:external-secrets")
	c.installExternalSecrets(t, built, account.ClientID)

	s.setSecret("db-password", "correct horse")
	c.kubectl(t, "create", "secret", "generic", "session", "-n", shop, "--from-literal", "key=battery staple")
	c.apply(t, shop, strings.ReplaceAll(manual(t, "External Secrets"), "lanyard.example.org", "lanyard.test"))

	c.wait(t, shop, "externalsecret/database", "condition=Ready")
	c.wantSecret(t, "database", "password", "correct horse")
	c.wait(t, shop, "pushsecret/session", "condition=Ready")
	if got := strings.TrimSpace(s.must(s.bin, "secret", "get", "kv-shop", "session-key")); got != "battery staple" {
		t.Errorf("the vault has %q of the pushed secret", got)
	}

	s.setSecret("db-password", "incorrect horse")
	c.kubectl(t, "annotate", "-n", shop, "externalsecret/database", "force-sync=1") // as its makers say
	c.wantSecret(t, "database", "password", "incorrect horse")
	t.Run("stores", func(t *testing.T) { testStores(t, s) })
	t.Run("refused", func(t *testing.T) { testRefusedStores(t, s, account.ClientID) })

	c.kubectl(t, "delete", "-n", shop, "pushsecret/session", "--timeout=60s")
	if left := s.must(s.bin, "secret", "list", "kv-shop"); !strings.Contains(left, "db-password") || strings.Contains(left, "session-key") {
		t.Errorf("without the pushed secret the vault has\n%s", left)
	}
	c.helm(t, "uninstall", "external-secrets", "-n", "external-secrets", "--wait")
	s.lanyard(nil, "cluster", "detach", "dev")
}

// installExternalSecrets installs the operator by its own chart, as the manual
// says, with our image and a client id of its own. Its webhook, which has nothing
// to do with Azure, takes half a minute to be ready.
func (c *cluster) installExternalSecrets(t *testing.T, built, clientID string) {
	t.Helper()
	archive, program := filepath.Join(t.TempDir(), "image.tar"), filepath.Join(built, "external-secrets")
	kit := c.command(t.Context(), filepath.Join(c.dir, "kit"), "image", "-name", "localhost/external-secrets:1", "-program", program, "-out", archive)
	if out, err := kit.CombinedOutput(); err != nil {
		t.Fatalf("making an image: %v\n%s", err, out)
	}
	c.addImage(t, archive)
	c.kubectl(t, "apply", "--server-side", "-f", filepath.Join(built, "crds.yaml"))
	c.helm(t, "install", "external-secrets", filepath.Join(built, "chart"), "-n", "external-secrets", "--create-namespace", "--wait", "--timeout", "90s",
		"--set-string", `podLabels.azure\.workload\.identity/use=true`, "--set", `serviceAccount.annotations.azure\.workload\.identity/client-id=`+clientID,
		"--set", "image.repository=localhost/external-secrets", "--set-string", "image.tag=1", "--set", "webhook.create=false,certController.create=false")
}

// privateNames are a store's settings for a server under its own names.
const privateNames = "vaultUrl: 'https://kv-shop.vault.lanyard.test', tenantId: adfs, useAzureSDK: true, environmentType: AzureStackCloud, " +
	"customCloudConfig: {activeDirectoryEndpoint: 'https://login.lanyard.test/'}"

// publicNames are those for names mode.
func (s *server) publicNames() string {
	return "vaultUrl: 'https://kv-shop.vault.azure.net', tenantId: " + s.state().TenantID
}

// testStores reads the vault in every way that the operator has: by both of its
// SDKs, as each kind of client.
func testStores(t *testing.T, s *server) {
	var app struct{ AppID, Password, ServicePrincipalID string }
	s.lanyard(&app, "app", "create", "shop")
	s.lanyard(nil, "policy", "set", "kv-shop", "--object-id", app.ServicePrincipalID, "--secrets", "get,list")
	s.cluster.apply(t, shop, `{apiVersion: v1, kind: Secret, metadata: {name: app}, stringData: {id: "`+app.AppID+`", secret: "`+app.Password+`"}}`)

	const (
		account   = "authType: WorkloadIdentity, serviceAccountRef: {name: secrets}"
		operator  = "authType: WorkloadIdentity"
		principal = "authType: ServicePrincipal, authSecretRef: {clientId: {name: app, key: id}, clientSecret: {name: app, key: secret}}"
	)
	all := []struct{ name, names, client string }{
		{"private-account", privateNames, account},
		{"private-operator", privateNames, operator},
		{"private-principal", privateNames, principal},
		{"public-account", s.publicNames(), account},
		{"public-principal", s.publicNames(), principal},
	}
	for _, tt := range all {
		s.cluster.apply(t, shop, store(tt.name, tt.names+", "+tt.client)+`
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: `+tt.name+`}
spec: {secretStoreRef: {name: `+tt.name+`}, dataFrom: [{find: {name: {regexp: ^db-}}}]}
`)
	}
	for _, tt := range all {
		s.cluster.wait(t, shop, "externalsecret/"+tt.name, "condition=Ready")
		s.cluster.wantSecret(t, tt.name, "db-password", "incorrect horse")
	}
}

// testRefusedStores reads as a service account that no federated credential
// names. A person finds out why.
func testRefusedStores(t *testing.T, s *server, clientID string) {
	c := s.cluster
	const account = "authType: WorkloadIdentity, serviceAccountRef: {name: stranger}"
	c.apply(t, shop, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: stranger, annotations: {azure.workload.identity/client-id: `+clientID+`}}
---`+store("stranger", privateNames+", "+account)+store("public-stranger", s.publicNames()+", "+account)+`
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: stranger}
spec: {secretStoreRef: {name: stranger}, dataFrom: [{find: {name: {regexp: ^db-}}}]}
`)
	for _, object := range []string{"externalsecret/stranger", "secretstore/public-stranger"} {
		c.wait(t, shop, object, "condition=Ready=False")
		eventually(t, object+" says why", time.Minute, func() error {
			said := c.kubectl(t, "events", "-n", shop, "--for", object, "-o", "jsonpath={.items[*].message}")
			if !strings.Contains(said, "AADSTS700213") || !strings.Contains(said, "system:serviceaccount:shop:stranger") {
				return fmt.Errorf("the events are %q", said)
			}
			return nil
		})
	}
}

// store is a SecretStore's manifest, with settings of the provider.
func store(name, settings string) string {
	return `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: ` + name + `}
spec: {provider: {azurekv: {` + settings + `}}}
---`
}

// manual is the manifests of a section of the manual on clusters.
func manual(t *testing.T, section string) string {
	t.Helper()
	_, text, ok := strings.Cut(string(read(t, filepath.Join("..", "..", "docs", "CLUSTERS.md"))), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("the manual has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var manifests []string
	for {
		_, block, ok := strings.Cut(text, "```yaml\n")
		if !ok {
			return strings.Join(manifests, "---\n")
		}
		block, text, _ = strings.Cut(block, "```")
		manifests = append(manifests, block)
	}
}

// setSecret stores a value in the vault.
func (s *server) setSecret(name, value string) {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "value")
	write(s.t, file, []byte(value))
	s.must(s.bin, "secret", "set", "kv-shop", name, "--file", file)
}

// wantSecret waits for a value in a Secret of the cluster.
func (c *cluster) wantSecret(t *testing.T, name, key, want string) {
	t.Helper()
	eventually(t, "the secret "+name, time.Minute, func() error {
		encoded := c.kubectl(t, "get", "-n", shop, "secret", name, "-o", "jsonpath={.data."+key+"}")
		got, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && string(got) != want {
			err = fmt.Errorf("%s is %q, want %q", key, got, want)
		}
		return err
	})
}
