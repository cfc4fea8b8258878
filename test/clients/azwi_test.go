package clients_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// azwi runs the steps of azwi's command line: see ./azwi.
type azwi struct {
	client
	env   []string
	vars  map[string]string // of env
	flags []string
}

func newAzwi(t *testing.T, s *server, issuer, scope string) *azwi {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "azwi")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", bin, ".")
	build.Dir = "azwi"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building azwi's steps: %v\n%s", err, out)
	}
	home := t.TempDir()
	a := &azwi{client: client{command: []string{bin}}, env: append(s.adminEnvironment(t), "HOME="+home, "TMPDIR="+home), vars: map[string]string{}}
	for _, v := range a.env {
		name, value, _ := strings.Cut(v, "=")
		a.vars[name] = value
	}
	a.flags = []string{
		"--subscription-id", a.vars["AZURE_SUBSCRIPTION_ID"], "--client-id", a.vars["AZURE_CLIENT_ID"], "--client-secret", a.vars["AZURE_CLIENT_SECRET"],
		"--service-account-namespace", "default", "--service-account-name", account, "--service-account-issuer-url", issuer,
		"--azure-role", "Key Vault Secrets User", "--azure-scope", scope,
	}
	return a
}

// made is what azwi says it made, and found there already.
type made struct {
	ClientID   string
	Assignment string
	Found      []string
}

func (a *azwi) create(t *testing.T) (m made) {
	t.Helper()
	out, err := a.run(t, a.env, append([]string{"create"}, a.flags...)...)
	if err == nil {
		err = json.Unmarshal([]byte(out), &m)
	}
	if err != nil {
		t.Fatalf("azwi create: %v\n%s", err, out)
	}
	return m
}

// TestAzwi lets azwi's steps give a workload access to a vault, and take it away.
func TestAzwi(t *testing.T) {
	t.Parallel()
	cluster, reader := startCluster(t), goClient(t)
	s := newServer(t, "--azure-names")
	s.start(t)
	tn := newTenant(t, s, cluster)
	var vault struct{ ID string }
	s.lanyard(t, &vault, "vault", "create", "kv-azwi", "--roles")
	a := newAzwi(t, s, cluster.URL, vault.ID)
	s.lanyard(t, nil, "role", "assign", "Key Vault Secrets Officer", "--app", a.vars["AZURE_CLIENT_ID"], "--scope", vault.ID)
	s.lanyardIn(t, secretValue, nil, "secret", "set", "kv-azwi", secretName)
	tn.vaultURL = "https://kv-azwi.vault.azure.net/"

	first := a.create(t)
	if len(first.Found) > 0 || first.ClientID == "" || first.Assignment == "" {
		t.Errorf("the first create = %+v, want all of it made", first)
	}
	again := a.create(t)
	want := made{ClientID: first.ClientID, Found: []string{"applications", "servicePrincipals", "federatedIdentityCredentials", "roleAssignments"}}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("the second create (-want +got):\n%s", diff)
	}

	var who identity
	who.Properties.ClientID = first.ClientID
	shell := s.clientEnvironment(t)
	read := trial{credential: "workload", operation: "read", who: who, token: tn.token}
	reader.try(t, tn.environment(t, shell, reader, read), read)

	remove := slices.Concat([]string{"delete"}, a.flags, []string{"--role-assignment-id", first.Assignment})
	if out, err := a.run(t, a.env, remove...); err != nil {
		t.Fatalf("azwi delete: %v\n%s", err, out)
	}
	read.refusal = "AADSTS700016"
	reader.try(t, tn.environment(t, shell, reader, read), read)
	if out, err := a.run(t, a.env, remove...); err == nil || !strings.Contains(out, "is not found") {
		t.Errorf("azwi delete, again: %v\n%s", err, out)
	}
}
