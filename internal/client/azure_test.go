package client_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/client"
)

func TestFindCloud(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stack := `{"name":"Stack","activeDirectoryEndpoint":"https://login.stack/","resourceManagerEndpoint":"https://arm.stack/","keyVaultDNSSuffix":"vault.stack"}`
	for name, test := range map[string]struct{ cloud, file, want, fault string }{
		"public":         {"azurepubliccloud", "", "https://management.azure.com", ""},
		"china":          {"AzureChinaCloud", "", "https://management.chinacloudapi.cn", ""},
		"stack":          {"azurestackcloud", file("stack", "\ufeff"+stack), "https://arm.stack", ""},
		"unknown":        {"Mars", file("stack", stack), "", `no such cloud "Mars"`},
		"stack-alone":    {"AzureStackCloud", "", "", "AZURE_ENVIRONMENT_FILEPATH names no file"},
		"stack-not-here": {"AzureStackCloud", filepath.Join(dir, "none"), "", "no such file"},
		"stack-no-json":  {"AzureStackCloud", file("text", "x"), "", "text: "},
		"stack-http":     {"AzureStackCloud", file("http", strings.Replace(stack, "https://arm", "http://arm", 1)), "", "is not https"},
		"stack-half":     {"AzureStackCloud", file("half", `{"name":"x"}`), "", "lacks activeDirectoryEndpoint"},
	} {
		got, err := client.FindCloud(test.cloud, test.file)
		if (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
			t.Errorf("%s: %v, want %q", name, err, test.fault)
		}
		if err == nil && got.Management != test.want {
			t.Errorf("%s: %+v, want %s", name, got, test.want)
		}
	}
}
