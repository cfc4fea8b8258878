package cluster_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testInside is the lab with Lanyard in the cluster: installed by its chart, and
// its vaults found by the cluster's own DNS. The person is outside.
func testInside(t *testing.T, c *cluster) {
	c.addVolumes(t, "data", "restored")
	c.helm(t, "install", "lanyard", "../../deploy/chart/lanyard", "--namespace", "lanyard", "--create-namespace", "--wait", "--timeout", "90s",
		"--set", "persistence.storageClassName=grows,persistence.size=8Gi")
	p := newPerson(t, newShell(t, c))
	forward := c.forward(t)
	p.outside()

	vault := p.lab()
	if want := "https://workshop-kv.vault.lanyard.svc.cluster.local/"; vault != want {
		t.Errorf("the vault is %s, want %s", vault, want)
	}
	t.Run("sdks", func(t *testing.T) { testSDKs(t, p, vault) })

	// The data outlives the pod; the person's connection does not.
	forward.kill()
	c.kubectl(t, "delete", "-n", "lanyard", "pod/lanyard-0")
	c.kubectl(t, "rollout", "status", "-n", "lanyard", "statefulset/lanyard", "--timeout=90s")
	c.forward(t)
	p.must(p.kubectl, "delete", "pod", "quick-start")
	p.quickStart(vault)
	p.doctor()
	p.must(p.kubectl, "delete", "pod", "quick-start")
	t.Run("backup", func(t *testing.T) { testBackup(t, c) })
	p.leave()
	t.Run("operate", func(t *testing.T) { testOperate(t, c) })
	c.helm(t, "uninstall", "lanyard", "--namespace", "lanyard", "--wait")
}

// testBackup takes a backup out of the pod, which has neither a shell nor tar, and
// brings it back in a server elsewhere.
func testBackup(t *testing.T, c *cluster) {
	bin := os.Getenv("LANYARD_BIN")
	data := filepath.Join(t.TempDir(), "data")
	exec := func(args ...string) []byte {
		return []byte(c.kubectl(t, append([]string{"exec", "-n", "lanyard", "lanyard-0", "--", "lanyard"}, args...)...))
	}
	lanyard := func(stdin []byte, args ...string) string {
		t.Helper()
		cmd := c.command(t.Context(), bin, append(args, "--data-dir", data)...)
		cmd.Env, cmd.Stdin = []string{"HOME=" + t.TempDir()}, bytes.NewReader(stdin)
		out, errs, err := output(cmd)
		if err != nil {
			t.Fatalf("lanyard %s: %v\n%s%s", strings.Join(args, " "), err, out, errs)
		}
		return out
	}
	lanyard(exec("store", "snapshot", "-"), "store", "restore", "-")
	key := filepath.Join(data, "seal.key")
	if err := os.WriteFile(key, exec("seal", "export"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.run(t, []string{"HOME=" + t.TempDir()}, "lanyard is up", bin, "up", "--data-dir", data, "--listen", "127.0.0.1:0",
		"--proxy", "off", "--debug", "off", "--address", "lanyard.svc.cluster.local", "--new-admin")
	if got := lanyard(nil, "secret", "get", "workshop-kv", "mysecret"); !strings.Contains(got, `LevelUp Lab Secret\!`) {
		t.Errorf("the restored server's secret is %q", got)
	}
}

// addVolumes gives the cluster what the chart asks for; nobody provisions any.
func (c *cluster) addVolumes(t *testing.T, names ...string) {
	t.Helper()
	c.apply(t, "default", `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: grows}
provisioner: kubernetes.io/no-provisioner
allowVolumeExpansion: true
`)
	for _, name := range names {
		dir := filepath.Join(c.dir, "node", name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		c.apply(t, "default", `
apiVersion: v1
kind: PersistentVolume
metadata: {name: `+name+`}
spec:
  capacity: {storage: 16Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: grows
  local: {path: `+dir+`}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node]}]
`)
	}
}

// helm runs a command of Helm as the cluster's admin.
func (c *cluster) helm(t *testing.T, args ...string) {
	t.Helper()
	cmd := c.command(t.Context(), os.Getenv("LANYARD_HELM"), args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "KUBECONFIG=" + c.kubeconfig()}
	begun := time.Now()
	out, errs, err := output(cmd)
	t.Logf("%5.2fs  helm %s", time.Since(begun).Seconds(), strings.Join(args, " "))
	if err != nil {
		pods := c.kubectl(t, "describe", "pods", "-A")
		t.Fatalf("helm %s: %v\n%s%s%s", strings.Join(args, " "), err, out, errs, pods)
	}
}

// forward connects a person's machine to the proxy of Lanyard's pod.
func (c *cluster) forward(t *testing.T) *process {
	t.Helper()
	p := c.run(t, nil, "Forwarding from", filepath.Join(c.dir, "kubectl"), "port-forward", "-n", "lanyard", "pod/lanyard-0", "7480")
	t.Cleanup(p.kill) // it ends with a failure, whoever ends it
	return p
}

// outside is what a person does once to use a Lanyard in a cluster from elsewhere.
func (p *person) outside() {
	p.t.Helper()
	exec := func(args ...string) []byte {
		return []byte(p.cluster.kubectl(p.t, append([]string{"exec", "-n", "lanyard", "lanyard-0", "--", "lanyard"}, args...)...))
	}
	bundle, admin := filepath.Join(p.home, "ca-bundle.pem"), filepath.Join(p.home, "admin.json")
	write(p.t, bundle, exec("ca", "--bundle"))
	write(p.t, admin, exec("admin"))
	p.env = append(p.env, "HTTPS_PROXY=http://127.0.0.1:7480", "NO_PROXY=172.16.0.0/12", "REQUESTS_CA_BUNDLE="+bundle,
		"LANYARD_SERVER=lanyard.svc.cluster.local", "LANYARD_CREDENTIALS="+admin, "LANYARD_CA_FILE="+bundle)
}

// languageRuntime is a language's, on the machine, with its public SDK. A pod mounts it.
type languageRuntime struct {
	name    string
	mounts  map[string]string // path on the machine, by path in the pod
	command []string
}

// testSDKs reads the lab's secret in pods, with SDKs of other languages. Nothing
// but the webhook tells them whom to trust and to ask.
func testSDKs(t *testing.T, p *person, vault string) {
	for _, r := range languageRuntimes(t) {
		var mounts, volumes strings.Builder
		for at, path := range r.mounts {
			name := fmt.Sprintf("v%d", strings.Count(volumes.String(), "\n"))
			fmt.Fprintf(&mounts, "    - {name: %s, mountPath: %s, readOnly: true}\n", name, at)
			fmt.Fprintf(&volumes, "  - {name: %s, hostPath: {path: %s}}\n", name, path)
		}
		p.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + r.name + `, namespace: default, labels: {azure.workload.identity/use: "true"}}
spec:
  serviceAccountName: workload-identity-sa
  restartPolicy: Never
  containers:
  - name: app
    image: ` + kitImage + `
    command: ["` + strings.Join(append(r.command, "workload", "read"), `", "`) + `"]
    env:
    - {name: KEYVAULT_URL, value: "` + vault + `"}
    - {name: SECRET_NAME, value: mysecret}
    - {name: SECRET_VALUE, value: 'LevelUp Lab Secret\!'}
    volumeMounts:
` + mounts.String() + `
  volumes:
` + volumes.String())
	}
	for _, r := range languageRuntimes(t) {
		p.cluster.wait(t, "default", "pod/"+r.name, "jsonpath={.status.containerStatuses[0].state.terminated}")
		log := p.cluster.kubectl(t, "logs", r.name)
		if !strings.Contains(log, "ok read") {
			t.Errorf("%s:\n%s", r.name, log)
		}
		p.cluster.kubectl(t, "delete", "pod", r.name)
	}
}

func languageRuntimes(t *testing.T) []languageRuntime {
	t.Helper()
	python, node, modules := os.Getenv("LANYARD_PYTHON"), os.Getenv("LANYARD_NODE"), os.Getenv("LANYARD_NODE_MODULES")
	if python == "" || node == "" || modules == "" {
		cannotRun(t, "LANYARD_PYTHON, LANYARD_NODE or LANYARD_NODE_MODULES is not set: use test/cluster/run, or make test")
	}
	scripts, err := filepath.Abs("../clients")
	if err != nil {
		t.Fatal(err)
	}
	machine := map[string]string{"/clients": scripts}
	// The interpreter of a virtual environment, and its libraries, are elsewhere.
	base, err := filepath.EvalSymlinks(python)
	if err != nil {
		t.Fatal(err)
	}
	venv := filepath.Dir(filepath.Dir(python))
	for _, dir := range []string{"/usr", "/lib", "/lib64", venv, filepath.Dir(filepath.Dir(base))} {
		if _, err := os.Stat(dir); err == nil {
			machine[dir] = dir
		}
	}
	javascript := map[string]string{"/node_modules": modules}
	for at, path := range machine {
		javascript[at] = path
	}
	return []languageRuntime{
		{"python", machine, []string{python, "-B", "/clients/python/client.py"}},
		{"javascript", javascript, []string{node, "/clients/javascript/client.mjs"}},
	}
}
