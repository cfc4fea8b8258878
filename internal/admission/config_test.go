package admission

import (
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/wi"
)

func TestValidate(t *testing.T) {
	ca := testCA(t)
	tests := []struct {
		name   string
		change func(*Config)
		want   string // empty for none
	}{
		{"plain", func(*Config) {}, ""},
		{"adfs", func(c *Config) { c.TenantID = "adfs" }, ""},
		{"http", func(c *Config) { c.Authority = "http://login.example/" }, "needs https://"},
		{"query", func(c *Config) { c.Authority += "?a" }, "no user, query or fragment"},
		{"tenant", func(c *Config) { c.TenantID = "contoso" }, "neither a GUID nor adfs"},
		{"layout", func(c *Config) { c.Layout = "v1.4" }, "token layout"},
		{"no-trust-source", func(c *Config) { c.Trust = &Trust{} }, "exactly one"},
		{"two-trust-sources", func(c *Config) { c.Trust = &Trust{PEM: ca, ConfigMap: "ca"} }, "exactly one"},
		{"trust-key", func(c *Config) {
			c.Trust = &Trust{PEM: []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}
		}, "PRIVATE KEY, not a certificate"},
		{"trust-empty", func(c *Config) { c.Trust = &Trust{PEM: []byte("x")} }, "no certificate"},
		{"trust-large", func(c *Config) { c.Trust = &Trust{PEM: make([]byte, 65<<10)} }, "use a config map"},
		{"trust-selector", func(c *Config) { c.Trust = &Trust{Bundle: "b", Selector: []byte(`{}`)} }, "needs a signer"},
		{"trust-selector-json", func(c *Config) { c.Trust = &Trust{Signer: "b", Selector: []byte(`[]`)} }, "not a JSON object"},
		{"trust-variable", func(c *Config) { c.Trust = &Trust{Bundle: "b", Env: []string{"A=B"}} }, "no name for a variable"},
		{"trust-java-alone", func(c *Config) { c.Trust = &Trust{JavaConfigMap: "ca"} }, "exactly one"},
		{"trust-java-key", func(c *Config) { c.Trust = &Trust{PEM: ca, JavaConfigMapKey: "ca"} }, "needs its name"},
		{"trust-java", func(c *Config) { c.Trust = &Trust{PEM: ca, JavaConfigMap: "ca"} }, ""},
		{"binding", func(c *Config) { c.TokenProxy = binding().TokenProxy }, ""},
		{"binding-audience", func(c *Config) { c.TokenProxy = binding().TokenProxy; c.TokenProxy.Audience = wi.Audience }, "audience of its own"},
		{"binding-suffix", func(c *Config) { c.TokenProxy = binding().TokenProxy; c.TokenProxy.Suffix = "" }, "annotation suffix"},
		{"binding-cas", func(c *Config) { c.TokenProxy = binding().TokenProxy; c.TokenProxy.CAData = string(ca) }, "at most one"},
		{"binding-url", func(c *Config) { c.TokenProxy = binding().TokenProxy; c.TokenProxy.URL = "proxy" }, "needs https://"},
		{"sidecar-mode", func(c *Config) { c.Sidecar.Mode = "magic" }, "neither redirect nor env"},
		{"sidecar-resources", func(c *Config) { c.Sidecar.Resources = []byte("{") }, "not a JSON object"},
		{"alias", func(c *Config) { c.HostAliases = []HostAlias{{IP: "login"}} }, "needs an address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config()
			tt.change(c)
			err := c.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Validate() = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAuthority(t *testing.T) {
	stack := `{"name":"Private","activeDirectoryEndpoint":"https://login.lanyard.example"}`
	tests := []struct{ name, stack, want string }{
		{"", "", "https://login.microsoftonline.com/"},
		{"AzurePublicCloud", "", "https://login.microsoftonline.com/"},
		{"AZURECLOUD", "", "https://login.microsoftonline.com/"},
		{"azureusgovernmentcloud", "", "https://login.microsoftonline.us/"},
		{"AzureUSGovernment", "", "https://login.microsoftonline.us/"},
		{"AzureChinaCloud", "", "https://login.chinacloudapi.cn/"},
		{"AzureGermanCloud", "", "https://login.microsoftonline.de/"},
		{"AzureStackCloud", stack, "https://login.lanyard.example/"},
		{"AzureStackCloud", "", ""},
		{"AzureStackCloud", "{}", ""},
		{"Mars", "", ""},
	}
	for _, tt := range tests {
		got, err := Authority(tt.name, []byte(tt.stack))
		if got != tt.want || (err == nil) == (tt.want == "") {
			t.Errorf("Authority(%q, %q) = %q, %v, want %q", tt.name, tt.stack, got, err, tt.want)
		}
	}
}
