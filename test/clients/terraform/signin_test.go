package terraform_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSignIn lets the provider find the server, and sign in, in every way that
// there is.
func TestSignIn(t *testing.T) {
	t.Parallel()
	const own, azure = "https://kv-read.vault.lanyard.localhost/", "https://kv-read.vault.azure.net/"
	for _, mode := range []struct {
		name  string
		flags []string
		vault string
	}{
		{"own-names", nil, own},
		{"azure-names", []string{"--azure-names"}, azure},
		{"adfs", []string{"--adfs"}, own},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, mode.flags...)
			identity := l.newDeployer(t)
			l.lanyard(t, "vault", "create", "kv-read")
			l.lanyardIn(t, "correct horse", "secret", "set", "kv-read", "password")
			l.lanyard(t, "policy", "set", "kv-read", "--identity", "deployer", "--secrets", "get")

			for name, login := range map[string][]string{
				"oidc": oidc(identity, l.token(t, "deployer")),
				"pod": {"ARM_USE_AKS_WORKLOAD_IDENTITY=true", "AZURE_TENANT_ID=" + l.tenant, "AZURE_CLIENT_ID=" + identity,
					"AZURE_FEDERATED_TOKEN_FILE=" + l.token(t, "deployer")},
				"machine": {"ARM_USE_MSI=true", "ARM_MSI_ENDPOINT=" + l.imds(t) + "/metadata/identity/oauth2/token"},
			} {
				w := l.newWorkspace(t, "read")
				w.login = login
				w.apply()
				got, _ := w.outputs()["read"].(map[string]any)
				want := map[string]any{
					"client": identity, "tenant": l.tenant, "vault": mode.vault,
					"password": "correct horse", "issuer": l.api.Issuer.URL,
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s reads (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

// imds gives this machine the deployer's identity until the test ends, and says
// where that is asked for.
func (l *lab) imds(t *testing.T) (url string) {
	t.Helper()
	cmd := exec.Command(l.bin, "imds", "--identity", "deployer", "--listen", "127.0.0.1:0", "--data-dir", l.data)
	var words bytes.Buffer
	cmd.Env, cmd.Stderr = l.environment(), &words
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		late := time.AfterFunc(serverLimit, func() { cmd.Process.Kill() })
		defer late.Stop()
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("lanyard imds, told to stop: %v\n%s", err, words.String())
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "export AZURE_POD_IDENTITY_AUTHORITY_HOST="); ok {
			return strings.Trim(url, "'/")
		}
	}
	t.Fatalf("lanyard imds does not say where it is\n%s", words.String())
	return ""
}
