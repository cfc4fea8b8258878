package quickstart_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/quickstart"
)

// The workload's log line is known by its place: "main.go:63] …".
func TestLineNumber(t *testing.T) {
	b, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(b, []byte("\n"))
	if got := string(lines[63-1]); !strings.Contains(got, `klog.InfoS("successfully got secret", "secret", `) {
		t.Errorf("line 63 of main.go is %q", got)
	}
}

var complete = map[string]string{
	"KEYVAULT_URL": "https://kv.vault.example/", "SECRET_NAME": "mysecret", "AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t",
	"AZURE_AUTHORITY_HOST": "https://login.example/", "AZURE_FEDERATED_TOKEN_FILE": "/token",
}

func TestFromEnv(t *testing.T) {
	c, err := quickstart.FromEnv(func(name string) string { return complete[name] })
	if err != nil || c.VaultURL != complete["KEYVAULT_URL"] || c.SecretName != complete["SECRET_NAME"] || c.Interval != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
	for missing := range complete {
		_, err := quickstart.FromEnv(func(name string) string {
			if name == missing {
				return ""
			}
			return complete[name]
		})
		if err == nil || err.Error() != missing+" environment variable is not set" {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	_, err = quickstart.FromEnv(func(string) string { return "" })
	for name := range complete {
		if err == nil || !strings.Contains(err.Error(), name+" environment variable is not set") {
			t.Errorf("without any: %s is not named: %v", name, err)
		}
	}
}
