package webhook_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/webhook"
)

const tenant = "0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10"

// plain are settings that are good as they are, as the flags' defaults have them.
func plain() webhook.Settings {
	return webhook.Settings{
		Config: webhook.Config{Listen: ":9443", DrainDelay: 5 * time.Second}, Authority: "https://login.example/", Tenant: tenant,
		Audience: "api://AzureADTokenExchange", Layout: "v1.6", ProxyMode: "redirect", OldestTLS: "1.3", MetricsBackend: "prometheus",
		LogFormat: "json", LogLevel: "info", CertFiles: "/certs",
	}
}

func TestSettingsFaults(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*webhook.Settings)
		env    map[string]string
		want   []string // parts of the error; none for none
	}{
		"plain":          {func(*webhook.Settings) {}, nil, nil},
		"upstream-level": {func(s *webhook.Settings) { s.LogLevel = "trace" }, nil, nil},
		"tenant-of-env":  {func(s *webhook.Settings) { s.Tenant = "" }, map[string]string{"AZURE_TENANT_ID": tenant}, nil},
		"cloud-of-env":   {func(s *webhook.Settings) { s.Authority = "" }, map[string]string{"AZURE_ENVIRONMENT": "AzurePublicCloud"}, nil},
		"no-tenant":      {func(s *webhook.Settings) { s.Tenant = "" }, nil, []string{"no tenant: set AZURE_TENANT_ID"}},
		"no-cloud":       {func(s *webhook.Settings) { s.Authority = "" }, map[string]string{"AZURE_ENVIRONMENT": "Mars"}, []string{"AZURE_ENVIRONMENT: "}},
		"no-cloud-file":  {func(s *webhook.Settings) { s.Authority = "" }, map[string]string{"AZURE_ENVIRONMENT_FILEPATH": "/none"}, []string{"reading AZURE_ENVIRONMENT_FILEPATH"}},
		"all-at-once": {func(s *webhook.Settings) {
			s.OldestTLS, s.MetricsBackend, s.LogLevel, s.LogFormat = "1.1", "x", "x", "x"
		}, nil, []string{"metrics backend", "TLS version", "log level", "log format"}},
		"two-cas":          {func(s *webhook.Settings) { s.CAConfigMap, s.CABundle = "a", "b" }, nil, []string{"want one of them"}},
		"ca-env-alone":     {func(s *webhook.Settings) { s.CAEnv = []string{"A"} }, nil, []string{"nothing says where the CA is"}},
		"ca-java-alone":    {func(s *webhook.Settings) { s.CAJava = "a" }, nil, []string{"for Java alone"}},
		"half-an-endpoint": {func(s *webhook.Settings) { s.EndpointSuffix = "a" }, nil, []string{"go together"}},
		"host-alias":       {func(s *webhook.Settings) { s.HostAliases = []string{"10.0.0.1"} }, nil, []string{"want IP=HOST"}},
		"drain":            {func(s *webhook.Settings) { s.DrainDelay = time.Hour }, nil, []string{"drain delay"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := plain()
			test.change(&s)
			_, err := s.Parse(func(name string) string { return test.env[name] }, io.Discard)
			if (err == nil) != (len(test.want) == 0) {
				t.Fatalf("the error is %v, want %q", err, test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
		})
	}
}

func TestSettings(t *testing.T) {
	s := plain()
	s.Authority, s.NoRotation, s.Kubeconfig = "", true, "/kubeconfig"
	s.CAConfigMap, s.CAJava, s.CAEnv = "trust/ca.pem", "trust/ca.p12", []string{"SSL_CERT_FILE"}
	s.HostAliases = []string{"10.0.0.1=a.example", "10.0.0.2=b.example", "10.0.0.1=c.example"}
	s.EndpointSuffix, s.EndpointAudience = "identity-binding", "api://AKSIdentityBinding"
	cloud := filepath.Join(t.TempDir(), "cloud.json")
	if err := os.WriteFile(cloud, []byte("\ufeff"+`{"activeDirectoryEndpoint":"https://login.stack.example/"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"POD_NAMESPACE": "hooks", "PROXY_IMAGE": "proxy:1", "AZURE_ENVIRONMENT": "AzureStackCloud", "AZURE_ENVIRONMENT_FILEPATH": cloud,
		"AZURE_KUBERNETES_TOKEN_PROXY": "https://proxy.example/", "AZURE_KUBERNETES_SNI_NAME": "sni.example",
	}
	c, err := s.Parse(func(name string) string { return env[name] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	a := c.Admission
	if c.Namespace != "hooks" || c.CertDir != "/certs" || c.Kube.Path != "/kubeconfig" || c.DrainDelay != 0 {
		t.Errorf("the configuration is %+v", c)
	}
	if a.Authority != "https://login.stack.example/" || a.Sidecar.Image != "proxy:1" || a.TokenProxy.URL != "https://proxy.example/" || a.TokenProxy.SNI != "sni.example" {
		t.Errorf("what pods get is %+v", a)
	}
	if t1 := a.Trust; t1.ConfigMap != "trust" || t1.ConfigMapKey != "ca.pem" || t1.JavaConfigMap != "trust" || t1.JavaConfigMapKey != "ca.p12" || len(t1.Env) != 1 {
		t.Errorf("the trust is %+v", t1)
	}
	if h := a.HostAliases; len(h) != 2 || h[0].IP != "10.0.0.1" || strings.Join(h[0].Hostnames, " ") != "a.example c.example" {
		t.Errorf("the host aliases are %+v", h)
	}
	s.DrainGiven = true
	if c, err = s.Parse(func(name string) string { return env[name] }, io.Discard); err != nil || c.DrainDelay != 5*time.Second {
		t.Errorf("a drain delay that was named is %s: %v", c.DrainDelay, err)
	}
}
