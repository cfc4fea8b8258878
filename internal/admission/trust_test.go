package admission

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/wi"
)

func testCA(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestTrustSources(t *testing.T) {
	ca := testCA(t)
	tests := []struct {
		name  string
		trust Trust
		want  string
	}{
		{"pem", Trust{PEM: ca}, `{"downwardAPI":{"items":[{"path":"trust/ca.crt","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.annotations['lanyard.io/ca-certificates']"}}]}}`},
		{"config-map", Trust{ConfigMap: "ca", ConfigMapKey: "bundle.pem"}, `{"configMap":{"name":"ca","items":[{"key":"bundle.pem","path":"trust/ca.crt"}],"optional":false}}`},
		{"bundle", Trust{Bundle: "lanyard"}, `{"clusterTrustBundle":{"name":"lanyard","path":"trust/ca.crt","optional":false}}`},
		{"signer", Trust{Signer: "lanyard.io/ca", Selector: []byte(`{"matchLabels":{"a":"b"}}`)},
			`{"clusterTrustBundle":{"signerName":"lanyard.io/ca","labelSelector":{"matchLabels":{"a":"b"}},"path":"trust/ca.crt","optional":false}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config()
			c.Trust = &tt.trust
			got, _ := mutated(t, c, smallPod, account(wi.ClientIDAnnotation, clientID))
			if diff := cmp.Diff(parse(t, tt.want), dig(t, got, "spec", "volumes", 0, "projected", "sources", 1)); diff != "" {
				t.Errorf("source (-want +got):\n%s", diff)
			}
			file := wi.Mount + "/trust/ca.crt"
			wantEnv(t, got, "containers", 0, append(standard[:4:4], "SSL_CERT_FILE="+file, "NODE_EXTRA_CA_CERTS="+file, "REQUESTS_CA_BUNDLE="+file)...)
			note := dig(t, got, "metadata", "annotations", certificatesNote)
			if tt.name == "pem" && note != string(ca) || tt.name != "pem" && note != nil {
				t.Errorf("certificates in the annotation: %v", note)
			}
			if _, p := mutated(t, c, got, account(wi.ClientIDAnnotation, clientID)); len(p.Ops) != 0 {
				t.Errorf("second patch = %s", p.JSON())
			}
		})
	}
}

func TestTrustChangesAndEnds(t *testing.T) {
	c := config()
	c.Trust = &Trust{PEM: testCA(t), Env: []string{"SSL_CERT_FILE"}}
	once, _ := mutated(t, c, podOf("", `"containers":[{"name":"app"},{"name":"b","env":[{"name":"SSL_CERT_FILE","value":"/own.pem"}]}]`), account(wi.ClientIDAnnotation, clientID))
	if got := env(t, once, "containers", 1)[0]; got != "SSL_CERT_FILE=/own.pem" {
		t.Errorf("the workload's variable became %s", got)
	}

	c.Trust = &Trust{PEM: testCA(t), Env: []string{"SSL_CERT_FILE"}}
	twice, p := mutated(t, c, once, account(wi.ClientIDAnnotation, clientID))
	if note := dig(t, twice, "metadata", "annotations", certificatesNote); note != string(c.Trust.PEM) || len(p.Ops) != 1 {
		t.Errorf("the annotation still has the old certificate: %s", p.JSON())
	}

	c.Trust = nil
	gone, _ := mutated(t, c, twice, account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, gone, "containers", 0, standard...)
	if strings.Contains(gone, certificatesNote) || strings.Contains(gone, trustFile) {
		t.Errorf("trust is left: %s", gone)
	}
}

func TestJavaTrust(t *testing.T) {
	c := config()
	c.Trust = &Trust{PEM: testCA(t), JavaConfigMap: "roots", Env: []string{"SSL_CERT_FILE"}}
	containers := `"containers":[{"name":"app"},{"name":"own","env":[{"name":"JDK_JAVA_OPTIONS","value":"-Xmx1g"}]}]`
	once, p := mutated(t, c, podOf("", containers), account(wi.ClientIDAnnotation, clientID))
	source := `{"configMap":{"name":"roots","items":[{"key":"truststore.p12","path":"trust/truststore.p12"}],"optional":false}}`
	if diff := cmp.Diff(parse(t, source), dig(t, once, "spec", "volumes", 0, "projected", "sources", 2)); diff != "" {
		t.Errorf("source (-want +got):\n%s", diff)
	}
	pem := "SSL_CERT_FILE=" + wi.Mount + "/trust/ca.crt"
	wantEnv(t, once, "containers", 0, append(standard[:4:4], pem, "JDK_JAVA_OPTIONS=-Djavax.net.ssl.trustStore="+wi.Mount+"/trust/truststore.p12")...)
	wantEnv(t, once, "containers", 1, append(append([]string{"JDK_JAVA_OPTIONS=-Xmx1g"}, standard[:4]...), pem)...)
	wantWarning(t, p, "container own sets JDK_JAVA_OPTIONS itself")
	if _, p := mutated(t, c, once, account(wi.ClientIDAnnotation, clientID)); len(p.Ops) != 0 {
		t.Errorf("second patch = %s", p.JSON())
	}

	c.Layout, c.Trust.JavaConfigMapKey = LayoutV15, "bundle.p12"
	got, _ := mutated(t, c, podOf("", oneContainer), account(wi.ClientIDAnnotation, clientID))
	vars := env(t, got, "containers", 0)
	if last := vars[len(vars)-1]; last != "JDK_JAVA_OPTIONS=-Djavax.net.ssl.trustStore="+wi.MountV15+"/trust/truststore.p12" || !strings.Contains(got, `"key":"bundle.p12"`) {
		t.Errorf("with v1.5's layout: %s in %s", last, got)
	}

	c = config()
	gone, _ := mutated(t, c, once, account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, gone, "containers", 0, standard...)
	wantEnv(t, gone, "containers", 1, append([]string{"JDK_JAVA_OPTIONS=-Xmx1g"}, standard...)...)
}

func binding() *Config {
	c := config()
	c.TokenProxy = &TokenProxy{Suffix: "identity-binding", Audience: "api://AKSIdentityBinding", URL: "https://proxy.example/identitybinding/c1/",
		SNI: "c1.ests.example", CAConfigMap: "kube-root-ca.crt"}
	return c
}

const bindingNote = `"azure.workload.identity/use-identity-binding":"True"`

func TestIdentityBinding(t *testing.T) {
	common := append(standard[:4:4], "AZURE_KUBERNETES_TOKEN_PROXY=https://proxy.example/identitybinding/c1/", "AZURE_KUBERNETES_SNI_NAME=c1.ests.example")
	file := "AZURE_KUBERNETES_CA_FILE=" + wi.Mount + "/ca-cert/ca.crt"
	ca := string(testCA(t))
	tests := []struct {
		name   string
		change func(*TokenProxy)
		env    []string
		source string
	}{
		{"config-map", func(*TokenProxy) {}, append(common[:6:6], file), `{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca-cert/ca.crt"}],"optional":false}}`},
		{"signer", func(p *TokenProxy) {
			p.CAConfigMap, p.CASigner, p.CASelector = "", "example.com/ca", []byte(`{"matchLabels":{"a":"b"}}`)
		}, append(common[:6:6], file), `{"clusterTrustBundle":{"signerName":"example.com/ca","labelSelector":{"matchLabels":{"a":"b"}},"optional":false,"path":"ca-cert/ca.crt"}}`},
		{"data", func(p *TokenProxy) { p.CAConfigMap, p.CAData = "", ca }, append(common[:6:6], "AZURE_KUBERNETES_CA_DATA="+ca), ""},
		{"system-roots", func(p *TokenProxy) { p.CAConfigMap = "" }, common, ""},
		{"no-sni", func(p *TokenProxy) { p.CAConfigMap, p.SNI = "", "" }, common[:5], ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := binding()
			tt.change(c.TokenProxy)
			got, p := mutated(t, c, podOf(bindingNote, oneContainer), account(wi.ClientIDAnnotation, clientID))
			wantEnv(t, got, "containers", 0, tt.env...)
			sources := dig(t, got, "spec", "volumes", 0, "projected", "sources").([]any)
			if a := sources[0].(map[string]any)["serviceAccountToken"].(map[string]any)["audience"]; a != "api://AKSIdentityBinding" {
				t.Errorf("audience = %v", a)
			}
			if tt.source == "" && len(sources) != 1 {
				t.Errorf("sources = %v", sources)
			}
			if tt.source != "" {
				if diff := cmp.Diff(parse(t, tt.source), sources[1]); diff != "" {
					t.Errorf("source (-want +got):\n%s", diff)
				}
			}
			if p.Subject != "" {
				t.Errorf("subject = %q: no federated credential is asked for", p.Subject)
			}
		})
	}
}

func TestIdentityBindingOnlyWhenAsked(t *testing.T) {
	for _, note := range []string{"", `"azure.workload.identity/use-identity-binding":"false"`, `"azure.workload.identity/use-other":"true"`} {
		got, _ := mutated(t, binding(), podOf(note, oneContainer), account(wi.ClientIDAnnotation, clientID))
		wantEnv(t, got, "containers", 0, standard...)
	}
	got, _ := mutated(t, config(), podOf(bindingNote, oneContainer), account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, got, "containers", 0, standard...)
}

// SDKs refuse to start with both CA variables.
func TestOneCAVariableOnly(t *testing.T) {
	got, _ := mutated(t, binding(), podOf(bindingNote, `"containers":[{"name":"app","env":[{"name":"AZURE_KUBERNETES_CA_DATA","value":"own"}]}]`), account(wi.ClientIDAnnotation, clientID))
	if strings.Contains(got, `"AZURE_KUBERNETES_CA_FILE","value"`) || strings.Contains(got, `"value":"`+wi.Mount+`/ca-cert`) {
		t.Errorf("both variables: %v", env(t, got, "containers", 0))
	}
	once, _ := mutated(t, binding(), podOf(bindingNote, oneContainer), account(wi.ClientIDAnnotation, clientID))
	c := binding()
	c.TokenProxy.CAConfigMap, c.TokenProxy.CAData = "", string(testCA(t))
	got, _ = mutated(t, c, once, account(wi.ClientIDAnnotation, clientID))
	vars := env(t, got, "containers", 0)
	if len(vars) != 7 || !strings.HasPrefix(vars[6], "AZURE_KUBERNETES_CA_DATA=") {
		t.Errorf("env = %v", vars)
	}
}

func TestHostAliases(t *testing.T) {
	c := config()
	c.HostAliases = []HostAlias{{IP: "10.0.0.1", Hostnames: []string{"login.example", "vault.example"}}, {IP: "10.0.0.2", Hostnames: []string{"arm.example"}}}
	tests := []struct{ name, spec, want string }{
		{"none", oneContainer, `[{"ip":"10.0.0.1","hostnames":["login.example","vault.example"]},{"ip":"10.0.0.2","hostnames":["arm.example"]}]`},
		{"own-name", oneContainer + `,"hostAliases":[{"ip":"10.9.9.9","hostnames":["Login.example","ARM.example"]}]`,
			`[{"ip":"10.9.9.9","hostnames":["Login.example","ARM.example"]},{"ip":"10.0.0.1","hostnames":["vault.example"]}]`},
		{"own-address", oneContainer + `,"hostAliases":[{"ip":"10.0.0.2","hostnames":null},{"ip":"10.0.0.1","hostnames":["db"]}]`,
			`[{"ip":"10.0.0.2","hostnames":["arm.example"]},{"ip":"10.0.0.1","hostnames":["db","login.example","vault.example"]}]`},
		{"host-network", oneContainer + `,"hostNetwork":true`, `null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, p := mutated(t, c, podOf("", tt.spec), account(wi.ClientIDAnnotation, clientID))
			if diff := cmp.Diff(parse(t, tt.want), dig(t, got, "spec", "hostAliases")); diff != "" {
				t.Errorf("hostAliases (-want +got):\n%s", diff)
			}
			if tt.want == "null" {
				wantWarning(t, p, "on the host's network")
			}
			if _, p := mutated(t, c, got, account(wi.ClientIDAnnotation, clientID)); len(p.Ops) != 0 {
				t.Errorf("second patch = %s", p.JSON())
			}
		})
	}
}
