package clients_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// identityHeader is the value that the sidecar and its pod share.
const identityHeader = "shared-in-the-pod"

// sidecar runs `lanyard proxy` as in a pod of the tenant's reader, until the test
// ends, and gives its address.
func (tn *tenant) sidecar(t *testing.T, s *server, shell []string) (address string) {
	t.Helper()
	resource := "resource-id=/subscriptions/x/resourcegroups/y/providers/Microsoft.ManagedIdentity/userAssignedIdentities/z"
	cmd := exec.Command(s.bin, "proxy", "--proxy-port", "0",
		"--identity", "client-id="+tn.reader.Properties.ClientID+",object-id=the-object,"+resource)
	cmd.Env = append(slices.Clone(shell), "AZURE_CLIENT_ID="+tn.reader.Properties.ClientID,
		"AZURE_FEDERATED_TOKEN_FILE="+tn.token, "IDENTITY_HEADER="+identityHeader)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, rest := bufio.NewReader(log), make(chan string, 1)
	first, err := lines.ReadBytes('\n')
	go func() {
		var b bytes.Buffer
		lines.WriteTo(&b)
		rest <- b.String()
	}()
	t.Cleanup(func() {
		late := time.AfterFunc(serverLimit, func() { cmd.Process.Kill() })
		defer late.Stop()
		cmd.Process.Signal(syscall.SIGTERM)
		text := <-rest
		if err := cmd.Wait(); err != nil {
			t.Errorf("lanyard proxy, told to stop: %v\n%s", err, text)
		}
		if t.Failed() {
			t.Logf("the sidecar's log:\n%s", text)
		}
	})
	var ready struct {
		Message string `json:"msg"`
		Address string `json:"address"`
	}
	if err != nil || json.Unmarshal(first, &ready) != nil || ready.Message != "ready" {
		t.Fatalf("lanyard proxy begins with %q: %v", first, err)
	}
	port := ready.Address[strings.LastIndexByte(ready.Address, ':')+1:]
	if out, err := exec.CommandContext(t.Context(), s.bin, "proxy", "--probe", "--proxy-port", port).CombinedOutput(); err != nil {
		t.Errorf("lanyard proxy --probe: %v\n%s", err, out)
	}
	return ready.Address
}

// TestManagedIdentity runs code that knows managed identities only beside the
// sidecar. It reaches it by what each SDK looks at; the redirect of the address
// itself is tested in a network namespace of its own.
func TestManagedIdentity(t *testing.T) {
	t.Parallel()
	programs := clients(t)
	s := newServer(t)
	s.start(t)
	tn := newTenant(t, s, startCluster(t))
	shell := s.clientEnvironment(t)
	base := "http://" + tn.sidecar(t, s, shell)
	appService := []string{"IDENTITY_ENDPOINT=" + base + "/msi/token", "IDENTITY_HEADER=" + identityHeader}
	host := []string{"AZURE_POD_IDENTITY_AUTHORITY_HOST=" + base}
	ways := map[string]map[string][]string{
		"go":         {"app-service": appService, "http-proxy": {"HTTP_PROXY=" + base}},
		"python":     {"app-service": appService, "metadata": host},
		"javascript": {"app-service": appService, "metadata": host},
		"java":       {"app-service": appService, "metadata": host},
	}
	ids := map[string]struct{ id, refusal string }{
		"only": {}, "client": {id: "client=" + tn.reader.Properties.ClientID},
		"object":   {id: "object=the-object"},
		"resource": {id: "resource=/subscriptions/X/resourceGroups/Y/providers/Microsoft.ManagedIdentity/userAssignedIdentities/Z"},
		"unknown":  {id: "client=00000000-0000-0000-0000-000000000001", refusal: "Identity not found"},
	}
	for _, c := range programs {
		for way, vars := range ways[c.name] {
			for kind, id := range ids {
				t.Run(c.name+"/"+way+"/"+kind, func(t *testing.T) {
					t.Parallel()
					if c.missing != "" {
						cannotRun(t, c.missing)
					}
					tr := trial{credential: "managed", operation: "read", who: tn.reader, token: tn.token, refusal: id.refusal}
					env := slices.DeleteFunc(tn.environment(t, shell, c, tr), func(v string) bool {
						return strings.HasPrefix(v, "AZURE_FEDERATED_TOKEN_FILE=")
					})
					c.try(t, append(append(env, vars...), "MANAGED_ID="+id.id), tr)
				})
			}
		}
	}
}
