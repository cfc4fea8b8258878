package clients_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// client is a program that uses one language's public SDK, unmodified.
type client struct {
	name        string
	credentials []string // that it can sign in with
	command     []string // and then CREDENTIAL OPERATION
	findRegion  string   // what makes it look for its region itself
	missing     string   // why it cannot run on this machine
}

// clients builds or finds the programs.
func clients(t *testing.T) []client {
	t.Helper()
	return []client{goClient(t), pythonClient(t, "client.py"), javascriptClient(t, "client.mjs"), javaClient()}
}

func goClient(t *testing.T) client {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "goclient")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./goclient").CombinedOutput(); err != nil {
		t.Fatalf("building the Go client: %v\n%s", err, out)
	}
	return client{
		name: "go", command: []string{bin}, findRegion: "TryAutoDetect",
		credentials: []string{"workload", "default", "assertion", "secret", "certificate", "chain", "environment", "msal"},
	}
}

func pythonClient(t *testing.T, program string) client {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("python", program))
	if err != nil {
		t.Fatal(err)
	}
	c := client{
		name: "python", findRegion: "tryautodetect", command: []string{os.Getenv("LANYARD_PYTHON"), "-B", script},
		credentials: []string{"workload", "default", "assertion", "secret", "certificate", "chain", "environment"},
	}
	if c.command[0] == "" {
		c.missing = "LANYARD_PYTHON is not set"
	}
	return c
}

// javascriptClient puts the scripts beside the packages: an ES module looks for
// them only in the folders above its own.
func javascriptClient(t *testing.T, program string) client {
	t.Helper()
	c := client{
		name: "javascript", findRegion: "TryAutoDetect",
		credentials: []string{"workload", "default", "assertion", "secret", "certificate", "chain", "environment"},
	}
	node, packages := os.Getenv("LANYARD_NODE"), os.Getenv("LANYARD_NODE_MODULES")
	if node == "" || packages == "" {
		c.missing = "LANYARD_NODE or LANYARD_NODE_MODULES is not set"
		return c
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("javascript")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(packages, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	c.command = []string{node, filepath.Join(dir, program)}
	return c
}

// javaClient starts a machine that compiles little, as each lives for a second, and
// asks again once only: the SDK repeats even what was refused for good.
func javaClient() client {
	c := client{
		name: "java", findRegion: "AutoDiscoverRegion",
		credentials: []string{"workload", "default", "assertion", "secret", "certificate", "chain", "environment"},
	}
	java, classes := os.Getenv("LANYARD_JAVA"), os.Getenv("LANYARD_JAVA_CLASSES")
	if java == "" || classes == "" {
		c.missing = "LANYARD_JAVA or LANYARD_JAVA_CLASSES is not set"
	}
	c.command = []string{java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData",
		"-DAZURE_REQUEST_RETRY_COUNT=1", "-cp", classes, "Client"}
	return c
}

// mode is one way in which unmodified clients reach a server.
type mode struct {
	name     string
	flags    []string
	vaultURL string // in place of the one that the server shows
}

func modes() []mode {
	return []mode{
		{name: "own-names"},
		{name: "azure-names", flags: []string{"--azure-names"}, vaultURL: "https://" + vaultName + ".vault.azure.net/"},
		{name: "adfs", flags: []string{"--adfs"}},
	}
}

// trial is one run of a client: what it does, as whom, and what must come of it.
type trial struct {
	credential, operation string
	who                   identity // for credentials that are federated
	token                 string   // file
	region                string   // that the client asks for its token
	refusal               string   // what the SDK's error must say; "" for success
}

// trials are all runs of c: every credential reads, some of them by way of a
// region, one does every operation, and one is refused a token, and a secret.
func (tn *tenant) trials(c client) map[string]trial {
	all := map[string]trial{
		"every-operation":     {credential: "workload", operation: "all", who: tn.officer, token: tn.token},
		"refuse-account":      {credential: "workload", operation: "read", who: tn.reader, token: tn.foreign, refusal: "AADSTS700213"},
		"refuse-unauthorised": {credential: "workload", operation: "read", who: tn.nobody, token: tn.token, refusal: "Forbidden"},
	}
	for _, credential := range c.credentials {
		all["read-"+credential] = trial{credential: credential, operation: "read", who: tn.reader, token: tn.token}
	}
	for _, credential := range []string{"workload", "secret", "chain"} {
		all["region-"+credential] = trial{credential: credential, operation: "read", who: tn.reader, token: tn.token, region: "westeurope"}
	}
	all["region-found"] = trial{credential: "workload", operation: "read", who: tn.reader, token: tn.token, region: c.findRegion}
	return all
}

func TestClients(t *testing.T) {
	t.Parallel()
	r := &report{ran: map[string][]string{}}
	t.Cleanup(r.print)
	cluster, programs := startCluster(t), clients(t)
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, m.flags...)
			s.start(t)
			tn := newTenant(t, s, cluster)
			if m.vaultURL != "" {
				tn.vaultURL = m.vaultURL
			}
			env := s.clientEnvironment(t)
			for _, c := range programs {
				for name, tr := range tn.trials(c) {
					t.Run(c.name+"/"+name, func(t *testing.T) {
						t.Parallel()
						if c.missing != "" {
							cannotRun(t, c.missing)
						}
						c.try(t, tn.environment(t, env, c, tr), tr)
						if !t.Failed() {
							r.add(m.name+" "+c.name, name)
						}
					})
				}
			}
		})
	}
}

// environment is what a pod's manifest and the webhook add to the shell's, or,
// for applications, what their documentation says.
func (tn *tenant) environment(t *testing.T, shell []string, c client, tr trial) []string {
	t.Helper()
	home := t.TempDir()
	env := append(slices.Clone(shell),
		"HOME="+home, "TMPDIR="+home, "KEYVAULT_URL="+tn.vaultURL,
		"SECRET_NAME="+secretName, "SECRET_VALUE="+secretValue, "SECRET_PREFIX="+c.name)
	if tr.region != "" {
		// The second is where a region is found, before a cloud's metadata service is asked.
		env = append(env, "AZURE_REGIONAL_AUTHORITY_NAME="+tr.region, "REGION_NAME=westeurope")
	}
	switch tr.credential {
	case "environment":
		env = append(env, "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN=true")
		fallthrough
	case "chain":
		return append(env, "AZURE_CLIENT_ID="+tn.chained.AppID, "AZURE_CLIENT_CERTIFICATE_PATH="+tn.chainFile)
	case "secret":
		return append(env, "AZURE_CLIENT_ID="+tn.secret.AppID, "AZURE_CLIENT_SECRET="+tn.secret.Password)
	case "certificate":
		return append(env, "AZURE_CLIENT_ID="+tn.cert.AppID, "AZURE_CLIENT_CERTIFICATE_PATH="+tn.certFile)
	}
	return append(env, "AZURE_CLIENT_ID="+tr.who.Properties.ClientID, "AZURE_FEDERATED_TOKEN_FILE="+tr.token)
}

// try runs the client once, and checks how it ends.
func (c client) try(t *testing.T, env []string, tr trial) {
	t.Helper()
	out, err := c.run(t, env, tr.credential, tr.operation)
	switch {
	case tr.refusal == "" && err != nil:
		t.Errorf("%v\n%s", err, out)
	case tr.refusal != "" && err == nil:
		t.Errorf("it was not refused:\n%s", out)
	case !strings.Contains(out, tr.refusal):
		t.Errorf("it does not say %s:\n%s", tr.refusal, out)
	}
}

func (c client) run(t *testing.T, env []string, args ...string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.command[0], append(c.command[1:len(c.command):len(c.command)], args...)...)
	var out bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &out
	err = cmd.Run()
	return out.String(), err
}

// report says what was run, even when every test passes.
type report struct {
	mu  sync.Mutex
	ran map[string][]string // guarded by mu; by mode and client
}

func (r *report) add(who, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ran[who] = append(r.ran[who], what)
}

func (r *report) print() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range modes() {
		for _, c := range []string{"go", "python", "javascript", "java"} {
			ran := r.ran[m.name+" "+c]
			slices.Sort(ran)
			fmt.Printf("%-12s %-11s %2d runs: %s\n", m.name, c, len(ran), strings.Join(ran, " "))
		}
	}
}
