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
	*shell
	az, kubectl string
}

// testWalkthrough is the lab on a whole node, with Lanyard beside the cluster.
func testWalkthrough(t *testing.T, c *cluster) {
	s := newServer(t, c, "--address", "lanyard.test", "--listen", nodeAddress+":443", "--adfs", "--webhook", nodeAddress+":9443")
	p := newPerson(t, s.shell)
	for line := range strings.Lines(p.must(p.bin, "env")) {
		if !strings.HasPrefix(line, "export ") {
			continue // it keeps what the variable was
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		p.env = append(p.env, name+"="+strings.Trim(value, "'"))
	}
	p.lab()
	p.must(p.kubectl, "delete", "pod", "quick-start")
	p.leave()
}

// lab is every line of az and kubectl, as people type them. It leaves the lab's
// pod, and gives the vault's URL.
func (p *person) lab() (vault string) {
	p.t.Helper()
	p.must(p.bin, "az", "setup", "--az", p.az)
	p.line("group", "create", "--name", "workshop-rg", "--location", "eastus")
	p.line("keyvault", "create", "--name", "workshop-kv", "--resource-group", "workshop-rg", "--location", "eastus", "--enable-rbac-authorization", "false")
	p.lanyard(nil, "cluster", "attach", "akscluster", "-g", "workshop-rg", "--kubeconfig", p.cluster.kubeconfig())

	feature := []string{"--namespace", "Microsoft.ContainerService", "--name", "EnableWorkloadIdentityPreview"}
	p.line(append([]string{"feature", "register"}, feature...)...)
	if state := p.line(append([]string{"feature", "show", "--query", "properties.state", "-otsv"}, feature...)...); state != "Registered" {
		p.t.Errorf("the feature is %s", state)
	}
	p.line("provider", "register", "--namespace", "Microsoft.ContainerService")
	p.line("extension", "add", "--name", "aks-preview")
	p.line("extension", "update", "--name", "aks-preview")
	p.line("aks", "update", "--resource-group", "workshop-rg", "--name", "akscluster", "--enable-oidc-issuer", "--enable-workload-identity")
	url := p.line("aks", "show", "-n", "akscluster", "-g", "workshop-rg", "--query", "oidcIssuerProfile.issuerUrl", "-otsv")
	if url != issuer {
		p.t.Errorf("the issuer is %q, want the one that tokens carry, %q", url, issuer)
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
	vault = p.line("keyvault", "show", "-g", "workshop-rg", "-n", "workshop-kv", "--query", "properties.vaultUri", "-o", "tsv")

	p.quickStart(vault)
	p.must(p.kubectl, "delete", "pod", "quick-start")
	p.quickStart(vault)
	p.doctor()
	return vault
}

// leave turns workload identity off, which leaves nothing in the cluster.
func (p *person) leave() {
	p.t.Helper()
	p.line("aks", "update", "--resource-group", "workshop-rg", "--name", "akscluster", "--disable-workload-identity")
	if left := p.cluster.kubectl(p.t, "get", "mutatingwebhookconfigurations", "-o", "name"); left != "" {
		p.t.Errorf("without workload identity, the cluster still has %s", left)
	}
}

// newPerson gives a shell az, which has never run, and kubectl.
func newPerson(t *testing.T, s *shell) *person {
	t.Helper()
	p := &person{shell: s, az: os.Getenv("LANYARD_AZ_2_91")}
	if p.az == "" {
		cannotRun(t, "no Azure CLI is installed: use test/cluster/run, or make test")
	}
	wrapper := string(read(t, filepath.Join(s.cluster.dir, "kubectl")))
	p.kubectl = regexp.MustCompile(`\S+/kubectl\b`).FindString(wrapper) // the program, without the admin's settings
	p.env = append(p.env, "AZURE_CONFIG_DIR="+filepath.Join(p.home, ".azure"), "AZURE_CORE_COLLECT_TELEMETRY=0",
		"AZURE_EXTENSION_USE_DYNAMIC_INSTALL=no", "AZURE_CORE_NO_COLOR=1")
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

// addImages builds the images of our programs, and gives them to the node.
func (c *cluster) addImages(t *testing.T, names ...string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./deploy/images", "-out", dir, "-platforms", "linux/"+runtime.GOARCH,
		"-images", strings.Join(names, ","))
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the images %v: %v\n%s", names, err, out)
	}
	for _, name := range names {
		c.addImage(t, filepath.Join(dir, name+".tar"))
	}
}
