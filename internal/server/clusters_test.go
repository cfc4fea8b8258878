package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
)

// webhookServer is a local server with a webhook listener.
func webhookServer(dir string) server.Config {
	c := local(dir)
	c.Webhook = "127.0.0.1:0"
	return c
}

// configuration is what the webhook is known by in a cluster.
var configuration = kube.Ref{
	APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration",
	Name: "azure-wi-webhook-mutating-webhook-configuration",
}

// api is a connection to an API server that has what no controller makes there.
func api(t testing.TB, s *kubetest.Server) *kube.Cluster {
	t.Helper()
	k, err := kube.Connect(kube.Config{Kubeconfig: s.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	apply(t, k, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default","namespace":"default"}}`)
	return k
}

func apply(t testing.TB, k *kube.Cluster, manifests string) {
	t.Helper()
	if _, err := k.Apply(t.Context(), []byte(manifests), "somebody-else"); err != nil {
		t.Fatal(err)
	}
}

// attached is a cluster as its reader sees it.
type attached struct {
	Properties struct {
		State    string `json:"provisioningState"`
		Security struct {
			WorkloadIdentity struct {
				Enabled bool `json:"enabled"`
			} `json:"workloadIdentity"`
		} `json:"securityProfile"`
		Attachment struct {
			KeysRead string `json:"keysRead"`
			Webhook  struct {
				State struct {
					Mode      string `json:"mode"`
					Installed bool   `json:"installed"`
					Answered  string `json:"answered"`
					Error     string `json:"error"`
					Note      string `json:"note"`
				} `json:"state"`
			} `json:"webhook"`
		} `json:"attachment"`
	} `json:"properties"`
}

const clusterVersion = "2026-07-01"

func (r *running) clusterID(name string) string {
	return r.group() + "/providers/Microsoft.ContainerService/managedClusters/" + name
}

// cluster changes a cluster and waits until the server is done with it.
func (r *running) cluster(name string, properties map[string]any) attached {
	r.t.Helper()
	r.arm("PUT", r.group(), "2021-04-01", map[string]string{"location": "local"}, nil)
	r.arm("PUT", r.clusterID(name), clusterVersion, map[string]any{"location": "local", "properties": properties}, nil)
	return r.settled(name)
}

func (r *running) settled(name string) attached {
	r.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var k attached
		r.arm("GET", r.clusterID(name), clusterVersion, nil, &k)
		if k.Properties.State != "Updating" {
			return k
		}
		select {
		case <-tick.C:
		case <-r.t.Context().Done():
			r.t.Fatal("the cluster is still at work")
		}
	}
}

func attach(s []byte, webhook map[string]any) map[string]any {
	return map[string]any{
		"attachment":        map[string]any{"kubeconfig": s, "webhook": webhook},
		"oidcIssuerProfile": map[string]any{"enabled": true},
	}
}

func workloadIdentity(on bool) map[string]any {
	return map[string]any{"securityProfile": map[string]any{"workloadIdentity": map[string]any{"enabled": on}}}
}

// tried is a pod that asks for an identity, as the API server would make it.
func tried(t testing.TB, k *kube.Cluster, account string) (env map[string]string, raw string, warnings []string) {
	t.Helper()
	made, warnings, err := k.DryRun(t.Context(), []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"tried","namespace":"default",`+
		`"labels":{"azure.workload.identity/use":"true"}},"spec":{"serviceAccountName":"`+account+`","containers":[{"name":"c","image":"i.invalid/i"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	var pod struct {
		Spec struct {
			Containers []struct {
				Env []struct{ Name, Value string } `json:"env"`
			} `json:"containers"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(made, &pod); err != nil {
		t.Fatal(err)
	}
	env = map[string]string{}
	for _, e := range pod.Spec.Containers[0].Env {
		env[e.Name] = e.Value
	}
	return env, string(made), warnings
}

func exists(t testing.TB, k *kube.Cluster, ref kube.Ref) bool {
	t.Helper()
	_, err := k.Get(t.Context(), ref)
	if err != nil && !errors.Is(err, kube.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestWorkloadIdentityInstallsTheWebhook(t *testing.T) {
	t.Parallel()
	k8s := kubetest.Start(t)
	k := api(t, k8s)
	r := start(t, webhookServer(t.TempDir()))
	r.vault("aliased")

	c := r.cluster("aks", attach(k8s.Kubeconfig, map[string]any{"hostAlias": "192.0.2.7"}))
	if exists(t, k, configuration) || c.Properties.Attachment.Webhook.State.Mode != "none" {
		t.Errorf("attaching alone installs something: %+v", c)
	}
	if c.Properties.Attachment.KeysRead == "" {
		t.Error("it does not say when the issuer's keys were read")
	}

	c = r.cluster("aks", workloadIdentity(true))
	state := c.Properties.Attachment.Webhook.State
	if c.Properties.State != "Succeeded" || !state.Installed || state.Mode != "url" || state.Answered == "" || state.Error != "" || state.Note != "" {
		t.Fatalf("after enabling: %+v", c)
	}
	apply(t, k, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"sa","namespace":"default","annotations":{"azure.workload.identity/client-id":"11111111-2222-4333-8444-555555555555"}}}`)
	env, raw, warnings := tried(t, k, "sa")
	own := r.Names().Own()
	for name, want := range map[string]string{
		"AZURE_CLIENT_ID": "11111111-2222-4333-8444-555555555555", "AZURE_TENANT_ID": r.admin.TenantID, "AZURE_AUTHORITY_HOST": own.LoginURL() + "/",
	} {
		if env[name] != want {
			t.Errorf("a pod gets %s=%q, want %q", name, env[name], want)
		}
	}
	for _, want := range []string{"SSL_CERT_FILE", `"192.0.2.7"`, `"` + own.Host(names.Login) + `"`, `"aliased.` + own.Host(names.Vault) + `"`} {
		if !strings.Contains(raw, want) {
			t.Errorf("a pod lacks %s", want)
		}
	}
	if !strings.Contains(strings.Join(warnings, "\n"), "federated credential") {
		t.Errorf("no warning of the missing federated credential, but %q", warnings)
	}

	c = r.cluster("aks", workloadIdentity(false))
	if c.Properties.State != "Succeeded" || c.Properties.Attachment.Webhook.State.Installed || exists(t, k, configuration) {
		t.Errorf("after disabling: %+v", c)
	}
	if env, _, _ := tried(t, k, "sa"); len(env) > 0 {
		t.Errorf("after disabling, a pod gets %v", env)
	}
}

// What others left under the same names is taken over, and said.
func TestInstalledWebhookIsTakenOver(t *testing.T) {
	t.Parallel()
	k8s := kubetest.Start(t)
	k := api(t, k8s)
	const upstream = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: azure-wi-webhook-mutating-webhook-configuration, labels: {azure-workload-identity.io/system: "true"}}
webhooks:
- name: mutation.azure-workload-identity.io
  admissionReviewVersions: [v1, v1beta1]
  clientConfig: {service: {name: azure-wi-webhook-webhook-service, namespace: azure-workload-identity-system, path: /mutate-v1-pod}}
  failurePolicy: Fail
  objectSelector: {matchLabels: {azure.workload.identity/use: "true"}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  sideEffects: None
---
apiVersion: v1
kind: ConfigMap
metadata: {name: azure-wi-webhook-config, namespace: default}
data: {AZURE_TENANT_ID: theirs}
`
	apply(t, k, upstream)
	r := start(t, webhookServer(t.TempDir()))
	r.cluster("aks", attach(k8s.Kubeconfig, nil))
	c := r.cluster("aks", workloadIdentity(true))
	state := c.Properties.Attachment.Webhook.State
	if c.Properties.State != "Succeeded" || !state.Installed {
		t.Fatalf("%+v", c)
	}
	if !strings.Contains(state.Note, "took over") || !strings.Contains(state.Note, "somebody-else") {
		t.Errorf("it says %q", state.Note)
	}
	r.arm("DELETE", r.clusterID("aks"), clusterVersion, nil, nil)
	if exists(t, k, configuration) {
		t.Error("detaching left the webhook in the cluster")
	}
	if !exists(t, k, kube.Ref{APIVersion: "v1", Kind: "ConfigMap", Namespace: "default", Name: "azure-wi-webhook-config"}) {
		t.Error("detaching deleted what is not ours")
	}
}

func TestTwoServersDoNotFightOverACluster(t *testing.T) {
	t.Parallel()
	k8s := kubetest.Start(t)
	k := api(t, k8s)
	a, b := start(t, webhookServer(t.TempDir())), start(t, webhookServer(t.TempDir()))
	a.cluster("aks", attach(k8s.Kubeconfig, nil))
	if c := a.cluster("aks", workloadIdentity(true)); c.Properties.State != "Succeeded" {
		t.Fatalf("%+v", c)
	}
	b.cluster("aks", attach(k8s.Kubeconfig, nil))
	c := b.cluster("aks", workloadIdentity(true))
	if state := c.Properties.Attachment.Webhook.State; c.Properties.State != "Failed" || !strings.Contains(state.Error, "another Lanyard server") || state.Installed {
		t.Errorf("the second server: %+v", c)
	}
	b.arm("DELETE", b.clusterID("aks"), clusterVersion, nil, nil)
	if env, _, _ := tried(t, k, "default"); env["AZURE_TENANT_ID"] != a.admin.TenantID {
		t.Errorf("after the second server left, a pod gets %v", env)
	}
}

func TestDetachingAClusterOutOfReach(t *testing.T) {
	t.Parallel()
	k8s := kubetest.Start(t)
	k := api(t, k8s)
	r := start(t, webhookServer(t.TempDir()))
	r.cluster("aks", attach(k8s.Kubeconfig, nil))
	r.cluster("aks", workloadIdentity(true))
	k8s.Down()
	for _, id := range []string{r.clusterID("aks"), r.group()} {
		_, err := r.client.ResourceManager(clusterVersion).Call(t.Context(), "DELETE", id, nil, nil, nil)
		if err == nil || !strings.Contains(err.Error(), "--force") {
			t.Errorf("deleting %s: %v, want a refusal that names --force", id, err)
		}
	}
	k8s.Up(t)
	if c := r.cluster("aks", workloadIdentity(true)); c.Properties.State != "Succeeded" {
		t.Errorf("a cluster that stays is not looked after: %+v", c)
	}
	r.arm("DELETE", r.group(), "2021-04-01", nil, nil)
	if exists(t, k, configuration) {
		t.Error("deleting the group left the webhook in its cluster")
	}
}

// What cannot be done at once is an operation that its client polls, as az and
// the SDKs do. https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
func TestFailureInAClusterIsToldToWhoPolls(t *testing.T) {
	t.Parallel()
	k8s := kubetest.Start(t)
	k := api(t, k8s)
	apply(t, k, `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"`+configuration.Name+`","annotations":{"lanyard.io/server":"https://login.elsewhere.test/tenant"}}}`)
	r := start(t, webhookServer(t.TempDir()))
	r.cluster("aks", attach(k8s.Kubeconfig, nil))

	answer, header := r.raw("PUT", r.Names().Own().ManagementURL()+r.clusterID("aks")+"?api-version="+clusterVersion,
		map[string]any{"location": "local", "properties": workloadIdentity(true)})
	poll := header.Get("Azure-AsyncOperation")
	if state := answer["properties"].(map[string]any)["provisioningState"]; state != "Updating" || poll == "" || header.Get("Retry-After") != "1" {
		t.Fatalf("PUT answers %v, %v", answer, header)
	}
	var operation map[string]any
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if operation, _ = r.raw("GET", poll, nil); operation["status"] != "InProgress" {
			break
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the operation does not end")
		}
	}
	fault, _ := operation["error"].(map[string]any)
	if message, _ := fault["message"].(string); operation["status"] != "Failed" || !strings.Contains(message, "https://login.elsewhere.test/tenant") {
		t.Errorf("the operation ends as %v", operation)
	}

	// It is mended from outside, and asked for again.
	if _, err := k.DeleteOne(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	if c := r.cluster("aks", workloadIdentity(true)); c.Properties.State != "Succeeded" || c.Properties.Attachment.Webhook.State.Error != "" {
		t.Errorf("after the fault is mended: %+v", c)
	}
	if operation, _ = r.raw("GET", poll, nil); operation["status"] == "InProgress" {
		t.Error("the first operation is in progress again")
	}
}

// raw calls the management API and gives the whole answer.
func (r *running) raw(method, url string, body any) (answer map[string]any, header http.Header) {
	r.t.Helper()
	token, err := r.client.ManagementToken(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, content)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots(r.t, r.c.DataDir)},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", r.State().Listen)
		},
	}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		r.t.Fatalf("%s %s answers %s: %v", method, url, resp.Status, err)
	}
	return answer, resp.Header
}

// A server that comes back with other settings brings what it installed up to date.
func TestChangedSettingsReachTheCluster(t *testing.T) {
	t.Parallel()
	k8s := kubetest.Start(t)
	k := api(t, k8s)
	c := webhookServer(t.TempDir())
	r := start(t, c)
	r.cluster("aks", attach(k8s.Kubeconfig, nil))
	r.cluster("aks", workloadIdentity(true))
	was := tryURL(t, k)
	r.stop()

	c.ADFS = true // and another port
	r = start(t, c)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for tryURL(t, k) == was {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the configuration still names the old listener")
		}
	}
	r.cluster("aks", workloadIdentity(true))
	if env, _, _ := tried(t, k, "default"); env["AZURE_TENANT_ID"] != "adfs" {
		t.Errorf("a pod gets %v", env)
	}
}

func tryURL(t testing.TB, k *kube.Cluster) string {
	t.Helper()
	b, err := k.Get(t.Context(), configuration)
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Webhooks []struct {
			ClientConfig struct{ URL string } `json:"clientConfig"`
		} `json:"webhooks"`
	}
	if err := json.Unmarshal(b, &o); err != nil || len(o.Webhooks) != 1 {
		t.Fatalf("%v: %s", err, b)
	}
	return o.Webhooks[0].ClientConfig.URL
}
