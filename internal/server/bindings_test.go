package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
)

const bindingVersion = "2026-06-01"

// bound is an identity that is bound to a real cluster, and one workload there.
type bound struct {
	*running
	cluster  *kube.Cluster
	clientID string
	proxy    string // the endpoint as pods are told of it
	tokens   string // file
}

func newBound(t *testing.T) *bound {
	t.Helper()
	s := kubetest.Start(t)
	b := &bound{running: start(t, local(t.TempDir())), cluster: api(t, s), tokens: filepath.Join(t.TempDir(), "token")}
	b.running.cluster("real", attach(s.Kubeconfig, map[string]any{"mode": "none"}))
	identity := b.group() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/workload"
	b.arm("PUT", identity, "2024-11-30", map[string]string{"location": "local"}, nil)
	var binding struct {
		Properties struct {
			Identity struct {
				ClientID string `json:"clientId"`
			} `json:"managedIdentity"`
			Proxy struct {
				URL string `json:"url"`
			} `json:"tokenProxy"`
		} `json:"properties"`
	}
	b.arm("PUT", b.clusterID("real")+"/identityBindings/workload", bindingVersion,
		map[string]any{"properties": map[string]any{"managedIdentity": map[string]any{"resourceId": identity}}}, &binding)
	b.clientID = binding.Properties.Identity.ClientID
	u, err := url.Parse(binding.Properties.Proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.proxy = "https://" + b.State().Listen + u.Path
	return b
}

// role lets the default service account use the identity, or no longer.
func (b *bound) role(verbs string) {
	b.t.Helper()
	apply(b.t, b.cluster, fmt.Sprintf(`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: workload-identity}
rules: [{apiGroups: [cid.wi.aks.azure.com], resources: [%q], verbs: [%s]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: workload-identity}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: workload-identity}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
`, b.clientID, verbs))
}

// project writes a service account token for an audience, as the kubelet would.
func (b *bound) project(audience string) string {
	b.t.Helper()
	token, err := b.cluster.CreateToken(b.t.Context(), kube.TokenRequest{Namespace: "default", Account: "default", Audiences: []string{audience}})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.tokens, []byte(token.Token), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return token.Token
}

// environment is what the webhook injects for a pod with an identity binding.
func (b *bound) environment(t *testing.T, authority string) {
	t.Helper()
	own := b.Names().Own()
	for name, value := range map[string]string{
		"AZURE_CLIENT_ID": b.clientID, "AZURE_TENANT_ID": b.admin.TenantID, "AZURE_FEDERATED_TOKEN_FILE": b.tokens,
		"AZURE_AUTHORITY_HOST": authority, "AZURE_KUBERNETES_TOKEN_PROXY": b.proxy, "AZURE_KUBERNETES_SNI_NAME": own.Host(names.Login),
		"AZURE_KUBERNETES_CA_FILE": server.Dir(b.c.DataDir).CA(),
	} {
		t.Setenv(name, value)
	}
}

// signIn is the public SDK, with the one option that identity bindings need.
func (b *bound) signInAsWorkload(t *testing.T) error {
	t.Helper()
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{EnableAzureProxy: true})
	if err != nil {
		t.Fatal(err)
	}
	token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{b.Names().Own().VaultResource() + "/.default"}})
	if err == nil && token.Token == "" {
		t.Error("no token and no error")
	}
	return err
}

func TestIdentityBindingOnARealCluster(t *testing.T) {
	b := newBound(t)
	b.project("api://AKSIdentityBinding")
	refused := func(code string) {
		t.Helper()
		b.environment(t, b.Names().Own().LoginURL()+"/")
		if err := b.signInAsWorkload(t); err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("want %s, got %v", code, err)
		}
	}
	refused("AADSTS700213") // no role yet
	b.role("get")
	refused("AADSTS700213") // another verb

	b.role("use-managed-identity")
	for name, authority := range map[string]string{"own": b.Names().Own().LoginURL() + "/", "default": ""} {
		b.environment(t, authority)
		if err := b.signInAsWorkload(t); err != nil {
			t.Errorf("%s authority: %v", name, err)
		}
	}
	b.bare(t)

	b.project("api://AzureADTokenExchange")
	refused("AADSTS700212") // a token for the exchange is none for the endpoint
	b.project("api://AKSIdentityBinding")
	apply(t, b.cluster, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default","namespace":"default","annotations":{"seen":"yes"}}}`)
	if _, err := b.cluster.DeleteOne(t.Context(), kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: "default", Name: "default"}); err != nil {
		t.Fatal(err)
	}
	refused("AADSTS700027") // its service account is gone: the cluster knows at once
}

// bare is how a kubelet's credential provider and curl ask.
func (b *bound) bare(t *testing.T) {
	t.Helper()
	pem, err := os.ReadFile(server.Dir(b.c.DataDir).CA())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: b.Names().Own().Host(names.Login)}, DisableKeepAlives: true}}
	token := b.project("api://AKSIdentityBinding")
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {b.clientID}, "scope": {b.Names().Own().VaultResource() + "/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {token},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.proxy+"/", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = b.Names().Own().Host(names.Login)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" || answer.Expires < 3600 {
		t.Errorf("%d, expires_in %d, %v", resp.StatusCode, answer.Expires, err)
	}
}
