package terraform_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/test/clients/kubeapi"
	"github.com/lanyard-io/lanyard/test/clients/serverlog"
)

// How long before the server, or one command, counts as stuck: far more than any
// needs on a slow machine. The provider itself waits two minutes for a vault.
const (
	serverLimit  = 2 * time.Minute
	commandLimit = 10 * time.Minute
)

// lab is one server, and the cluster "dev" that is attached to it.
type lab struct {
	bin  string // the built binary
	home string // HOME and TMPDIR of the server and the command line
	data string // the server's data directory
	log  *serverlog.Log
	env  []string // what `lanyard env` prints
	api  *kubeapi.Server

	tenant, subscription string
}

const managementHost = "management.lanyard.localhost"

func newLab(t *testing.T, flags ...string) *lab {
	t.Helper()
	l := &lab{bin: os.Getenv("LANYARD_BIN"), home: t.TempDir(), data: filepath.Join(t.TempDir(), "data")}
	for _, name := range []string{"LANYARD_BIN", "LANYARD_TOFU", "LANYARD_AZURERM"} {
		if os.Getenv(name) == "" {
			t.Fatalf("%s is not set: use test/clients/terraform/run, or make terraform", name)
		}
	}
	l.up(t, flags)
	for line := range strings.Lines(l.lanyard(t, "env")) {
		if !strings.HasPrefix(line, "export ") {
			continue // it keeps what the variable was
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		l.env = append(l.env, name+"="+strings.Trim(value, "'"))
	}
	l.readAdmin(t)

	api, err := kubeapi.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	l.api = api
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	writeFile(t, kubeconfig, api.Kubeconfig())
	l.lanyard(t, "cluster", "attach", "dev", "--kubeconfig", kubeconfig, "--enable-oidc-issuer")
	return l
}

// up runs the server until the test ends.
func (l *lab) up(t *testing.T, flags []string) {
	t.Helper()
	l.log = serverlog.New()
	args := []string{"up", "--data-dir", l.data, "--listen", "127.0.0.1:0", "--proxy", "127.0.0.1:0", "--debug", "off"}
	cmd := exec.Command(l.bin, append(args, flags...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = l.environment(), l.log, l.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(serverLimit):
			cmd.Process.Kill()
			<-exited
			t.Error("the server does not stop")
		}
		if strings.Contains(l.log.String(), "level=ERROR") {
			t.Error("the server logged an error")
		}
		if t.Failed() {
			t.Logf("the server's log, without what went well:\n%s", l.log.Unusual())
		}
	})
	select {
	case <-l.log.Up():
	case err := <-exited:
		t.Fatalf("lanyard up: %v\n%s", err, l.log)
	case <-time.After(serverLimit):
		t.Fatalf("lanyard up is not ready\n%s", l.log)
	}
}

// readAdmin finds the ids of the one tenant and its one subscription.
func (l *lab) readAdmin(t *testing.T) {
	t.Helper()
	var admin struct{ TenantID, SubscriptionID string }
	b, err := os.ReadFile(filepath.Join(l.data, "admin.json"))
	if err == nil {
		err = json.Unmarshal(b, &admin)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.tenant, l.subscription = admin.TenantID, admin.SubscriptionID
}

func (l *lab) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.home, "TMPDIR=" + l.home}
}

// lanyard runs one command of the command line.
func (l *lab) lanyard(t *testing.T, args ...string) string {
	t.Helper()
	return l.lanyardIn(t, "", args...)
}

func (l *lab) lanyardIn(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, errs, err := run(t, command{env: l.environment(), stdin: stdin, name: l.bin, args: append(args, "--data-dir", l.data)})
	if err != nil {
		t.Fatalf("lanyard %s: %v\n%s", strings.Join(args, " "), err, errs)
	}
	return out
}

// lanyardJSON reads what a command prints.
func (l *lab) lanyardJSON(t *testing.T, answer any, args ...string) {
	t.Helper()
	out := l.lanyard(t, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), answer); err != nil {
		t.Fatalf("lanyard %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// token writes what the kubelet projects into a pod of this service account.
func (l *lab) token(t *testing.T, account string) (file string) {
	t.Helper()
	token, err := l.api.Issuer.Token("default", account, "api://AzureADTokenExchange", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "token")
	writeFile(t, file, []byte(token))
	return file
}

// command is one run of a program.
type command struct {
	dir, stdin string
	env        []string
	name       string
	args       []string
}

func run(t *testing.T, c command) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.name, c.args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that tofu stops its provider
	cmd.WaitDelay = 30 * time.Second
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.dir, c.env, strings.NewReader(c.stdin), &out, &errs
	begun := time.Now()
	err = cmd.Run()
	t.Logf("%6.1fs  %s %s", time.Since(begun).Seconds(), filepath.Base(c.name), strings.Join(c.args, " "))
	return out.String(), errs.String(), err
}

// everything is the ids of all that Terraform could have made, and of what a
// destroyed vault leaves until it is purged.
func (l *lab) everything(t *testing.T) (ids []string) {
	t.Helper()
	token := strings.TrimSpace(l.lanyard(t, "token"))
	client := l.client(t)
	for _, path := range []string{
		"/resourceGroups?api-version=2021-04-01", "/resources?api-version=2021-04-01",
		"/providers/Microsoft.KeyVault/deletedVaults?api-version=2023-07-01",
		"/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+managementHost+"/subscriptions/"+l.subscription+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ Value []struct{ ID string } }
		err = json.NewDecoder(resp.Body).Decode(&list)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
		for _, r := range list.Value {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// client finds and trusts the server as `lanyard env` says.
func (l *lab) client(t *testing.T) *http.Client {
	t.Helper()
	env := map[string]string{}
	for _, v := range l.env {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	proxy, err := url.Parse(env["HTTPS_PROXY"])
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := os.ReadFile(env["SSL_CERT_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: serverLimit}
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
