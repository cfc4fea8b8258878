package cluster_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// nodeAddress is the node's own, which every pod reaches, and to which the names
// below lanyard.test lead.
const nodeAddress = "172.31.255.1"

// person has az, kubectl and what `lanyard env` prints.
type person struct {
	*server
	az, kubectl string
}

// testWalkthrough is the lab on a whole node, with Lanyard beside the cluster:
// every line of az and kubectl, as people type them.
func testWalkthrough(t *testing.T, c *cluster) {
	az := os.Getenv("LANYARD_AZ_2_91")
	if az == "" {
		cannotRun(t, "no Azure CLI is installed: use test/cluster/run, or make test")
	}
	c.addImage(t, buildImage(t, "quickstart"))
	p := newPerson(t, c, az, "--address", "lanyard.test", "--listen", nodeAddress+":443", "--adfs", "--webhook", nodeAddress+":9443")
	p.must(p.bin, "az", "setup", "--az", az)
	p.line("group", "create", "--name", "workshop-rg", "--location", "eastus")
	p.line("keyvault", "create", "--name", "workshop-kv", "--resource-group", "workshop-rg", "--location", "eastus", "--enable-rbac-authorization", "false")
	p.lanyard(nil, "cluster", "attach", "akscluster", "-g", "workshop-rg", "--kubeconfig", c.kubeconfig())

	feature := []string{"--namespace", "Microsoft.ContainerService", "--name", "EnableWorkloadIdentityPreview"}
	p.line(append([]string{"feature", "register"}, feature...)...)
	if state := p.line(append([]string{"feature", "show", "--query", "properties.state", "-otsv"}, feature...)...); state != "Registered" {
		t.Errorf("the feature is %s", state)
	}
	p.line("provider", "register", "--namespace", "Microsoft.ContainerService")
	p.line("extension", "add", "--name", "aks-preview")
	p.line("extension", "update", "--name", "aks-preview")
	p.line("aks", "update", "--resource-group", "workshop-rg", "--name", "akscluster", "--enable-oidc-issuer", "--enable-workload-identity")
	url := p.line("aks", "show", "-n", "akscluster", "-g", "workshop-rg", "--query", "oidcIssuerProfile.issuerUrl", "-otsv")
	if url != issuer {
		t.Errorf("the issuer is %q, want the one that tokens carry, %q", url, issuer)
	}
	p.line("identity", "create", "--name", "workshop-Identity", "--resource-group", "workshop-rg", "--location", "eastus")
	p.line("keyvault", "secret", "set", "--vault-name", "workshop-kv", "--name", "mysecret", "--value", `LevelUp Lab Secret\!`)
	client := p.line("identity", "show", "--resource-group", "workshop-rg", "--name", "workshop-Identity", "--query", "clientId", "-otsv")
	p.line("keyvault", "set-policy", "--name", "workshop-kv", "--secret-permissions", "get", "--spn", client)
	p.line("aks", "get-credentials", "--resource-group", "workshop-rg", "--name", "akscluster", "--admin")
	p.apply(`
apiVersion: v1
kind: ServiceAccount
metadata:
  name: workload-identity-sa
  namespace: default
  annotations: {azure.workload.identity/client-id: ` + client + `}
`)
	p.line("identity", "federated-credential", "create", "--name", "myfederatedIdentity", "--identity-name", "workshop-Identity",
		"--resource-group", "workshop-rg", "--issuer", url, "--subject", "system:serviceaccount:default:workload-identity-sa")
	vault := p.line("keyvault", "show", "-g", "workshop-rg", "-n", "workshop-kv", "--query", "properties.vaultUri", "-o", "tsv")

	p.quickStart(vault)
	p.must(p.kubectl, "delete", "pod", "quick-start")
	p.quickStart(vault)
	p.doctor()

	p.line("aks", "update", "--resource-group", "workshop-rg", "--name", "akscluster", "--disable-workload-identity")
	if left := c.kubectl(t, "get", "mutatingwebhookconfigurations", "-o", "name"); left != "" {
		t.Errorf("without workload identity, the cluster still has %s", left)
	}
}

// newPerson starts a server, and gives its person a shell.
func newPerson(t *testing.T, c *cluster, az string, flags ...string) *person {
	t.Helper()
	p := &person{server: newServer(t, c, flags...), az: az}
	wrapper := string(read(t, filepath.Join(c.dir, "kubectl")))
	p.kubectl = regexp.MustCompile(`\S+/kubectl\b`).FindString(wrapper) // the program, without the admin's settings
	p.env = append(p.env, "AZURE_CONFIG_DIR="+filepath.Join(p.home, ".azure"), "AZURE_CORE_COLLECT_TELEMETRY=0",
		"AZURE_EXTENSION_USE_DYNAMIC_INSTALL=no", "AZURE_CORE_NO_COLOR=1")
	for line := range strings.Lines(p.must(p.bin, "env")) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		p.env = append(p.env, name+"="+strings.Trim(value, "'"))
	}
	return p
}

// line runs a line of az, and gives what it prints.
func (p *person) line(args ...string) string {
	p.t.Helper()
	return strings.TrimSpace(p.must(p.az, args...))
}

func (p *person) apply(manifest string) {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "manifest.yaml")
	write(p.t, file, []byte(manifest))
	p.must(p.kubectl, "apply", "-f", file)
}

// success is the line that the workload logs, at its place in the program.
var success = regexp.MustCompile(`main\.go:63\] "successfully got secret" secret="LevelUp Lab Secret\\\\!"`)

// quickStart runs the lab's pod, until its log has the secret.
func (p *person) quickStart(vault string) {
	p.t.Helper()
	p.apply(`
apiVersion: v1
kind: Pod
metadata:
  name: quick-start
  namespace: default
  labels: {azure.workload.identity/use: "true"}
spec:
  serviceAccountName: workload-identity-sa
  containers:
  - name: oidc
    image: localhost/quickstart:dev
    env:
    - {name: KEYVAULT_URL, value: "` + vault + `"}
    - {name: SECRET_NAME, value: mysecret}
`)
	p.must(p.kubectl, "wait", "--for=condition=Ready", "pod/quick-start", "--timeout=60s")
	var log string
	deadline := time.Now().Add(time.Minute)
	for !success.MatchString(log) {
		if time.Now().After(deadline) {
			p.t.Fatalf("kubectl logs quick-start:\n%s\nwant a line like %s\n%s", log, success, p.must(p.kubectl, "describe", "pod", "quick-start"))
		}
		out, errs, _ := p.try(p.kubectl, "logs", "quick-start")
		log = out + errs
	}
	p.t.Logf("kubectl logs quick-start\n%s", log)
}

// doctor finds nothing wrong.
func (p *person) doctor() {
	p.t.Helper()
	out, errs, err := p.try(p.bin, "doctor", "pod", "quick-start", "-n", "default", "-o", "json")
	if err != nil || !json.Valid([]byte(out)) {
		p.t.Errorf("lanyard doctor pod quick-start: %v\n%s%s", err, out, errs)
	}
}

// buildImage makes the OCI archive of one of our programs.
func buildImage(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./deploy/images", "-out", dir, "-platforms", "linux/"+runtime.GOARCH, "-images", name)
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the image %s: %v\n%s", name, err, out)
	}
	return filepath.Join(dir, name+".tar")
}
