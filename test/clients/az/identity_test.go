package az_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestManagedIdentityLogin signs az in as a machine's identity: the newest az by
// either of two variables, an older one, which knows only the metadata service's
// own address, through the proxy variable.
func TestManagedIdentityLogin(t *testing.T) {
	ways := map[string][][]string{
		"az-2.91": {{"AZURE_POD_IDENTITY_AUTHORITY_HOST"}, {"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}},
		"az-2.60": {{"HTTP_PROXY", "http_proxy"}},
	}
	for name, az := range clis(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, az)
			l.setUp()
			l.ok("group", "create", "--name", group, "--location", location)
			made := l.json("identity", "create", "--name", identity, "--resource-group", group)
			scope := "/subscriptions/" + l.admin().SubscriptionID
			l.ok("role", "assignment", "create", "--role", "Reader", "--assignee-object-id", l.text(made, "principalId"),
				"--assignee-principal-type", "ServicePrincipal", "--scope", scope)
			vars, stop := l.imds()
			for _, names := range ways[name] {
				machine := l.with(vars, names)
				machine = machine.as("machine-"+names[0], func(u *lab) { u.ok("login", "--identity") })
				machine.is(machine.json("account", "show"), "id", l.admin().SubscriptionID)
				machine.is(machine.json("group", "show", "--name", group), "name", group)
				machine.fails("AuthorizationFailed", "group", "create", "--name", "another", "--location", location)
			}
			if name == "az-2.91" {
				machine := l.with(vars, ways[name][0]).as("named", func(u *lab) { u.ok("login", "--identity", "--resource-id", l.text(made, "id")) })
				machine.fails("Identity not found", "login", "--identity", "--client-id", "00000000-0000-0000-0000-000000000001")
			}
			if list, _ := l.json("identity", "federated-credential", "list", "--identity-name", identity, "-g", group).([]any); len(list) != 1 {
				t.Errorf("%d federated credentials while it runs, want 1", len(list))
			}
			stop()
			if list, _ := l.json("identity", "federated-credential", "list", "--identity-name", identity, "-g", group).([]any); len(list) != 0 {
				t.Errorf("%d federated credentials after its end, want none", len(list))
			}
			if out := l.run(nil, l.lanyard, "issuer", "list", "--data-dir", l.data, "-o", "json"); strings.TrimSpace(out) != "[]" {
				t.Errorf("issuers after its end: %s", out)
			}
		})
	}
}

// imds runs `lanyard imds` until stop, and gives the variables that it prints.
func (l *lab) imds() (vars map[string]string, stop func()) {
	l.t.Helper()
	cmd := exec.Command(l.lanyard, "imds", "--identity", identity, "-g", group, "--listen", "127.0.0.1:0", "--http-proxy", "--data-dir", l.data)
	var words bytes.Buffer
	cmd.Env, cmd.Stderr = l.env, &words
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		late := time.AfterFunc(commandLimit, func() { cmd.Process.Kill() })
		defer late.Stop()
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			l.t.Errorf("lanyard imds, told to stop: %v\n%s", err, words.String())
		}
	}
	l.t.Cleanup(stop)
	vars = map[string]string{}
	lines := bufio.NewScanner(out)
	for len(vars) < 5 && lines.Scan() {
		name, value, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		vars[name] = value
	}
	if len(vars) < 5 {
		l.t.Fatalf("lanyard imds prints %v only\n%s", vars, words.String())
	}
	return vars, stop
}

// with is the user with some variables more.
func (l *lab) with(vars map[string]string, names []string) *lab {
	other := *l
	other.env = l.env[:len(l.env):len(l.env)]
	for _, name := range names {
		other.env = append(other.env, name+"="+vars[name])
	}
	return &other
}

// TestIdentityBindings runs az's own commands for them; the older az has none.
func TestIdentityBindings(t *testing.T) {
	for name, az := range clis(t) {
		if name != "az-2.91" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, az)
			l.setUp()
			l.ok("group", "create", "--name", group, "--location", location)
			l.run(nil, l.lanyard, "cluster", "attach", aks, "-g", group, "--kubeconfig", l.cluster.kubeconfig(t), "--data-dir", l.data)
			id := l.json("identity", "create", "--name", identity, "--resource-group", group)
			flags := []string{"--cluster-name", aks, "--resource-group", group}
			binding := func(verb string, more ...string) []string {
				return append(append([]string{"aks", "identity-binding", verb}, flags...), more...)
			}
			made := l.json(binding("create", "--name", "workload", "--managed-identity-resource-id", l.text(id, "id"))...)
			l.is(made, "properties.managedIdentity.clientId", l.text(id, "clientId"))
			l.is(made, "properties.provisioningState", "Succeeded")
			l.is(l.json(binding("show", "--name", "workload")...), "name", "workload")
			if list, _ := l.json(binding("list")...).([]any); len(list) != 1 {
				t.Errorf("%d bindings, want 1: %v", len(list), list)
			}
			credential := l.json("identity", "federated-credential", "show", "--name", "aks-identity-binding", "--identity-name", identity, "-g", group)
			l.is(credential, "issuer", l.text(made, "properties.oidcIssuer.oidcIssuerUrl"))
			l.ok(binding("delete", "--name", "workload", "--yes")...)
			if list, _ := l.json(binding("list")...).([]any); len(list) != 0 {
				t.Errorf("%d bindings after the deletion: %v", len(list), list)
			}
		})
	}
}
