package cluster_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	webhookSecret        = "azure-wi-webhook-server-cert"
	webhookConfiguration = "azure-wi-webhook-mutating-webhook-configuration"
)

// testCertificate replaces the webhook's authority, and then its certificate by
// one that ends soon and one that has ended, while pods are made.
func testCertificate(t *testing.T, c *cluster, namespace string) {
	pods := c.keepTrying(t, namespace)
	was := c.webhookKeys(t)
	a := newAuthority(t, time.Now().Add(-24*time.Hour))
	c.setWebhookKeys(t, a.secret(t, pair{was["tls.crt"], was["tls.key"]}, was["ca.crt"]))
	c.awaitLeaf(t, "the new authority signs", a)
	for what, until := range map[string]time.Duration{"ends soon": time.Hour, "has ended": -time.Minute} {
		c.setWebhookKeys(t, a.secret(t, a.leaf(t, time.Now().Add(until)), was["ca.crt"]))
		c.awaitLeaf(t, "a certificate that "+what+" is replaced", a)
	}
	pods.stop(t)
}

// webhookKeys is what the webhook's Secret holds.
func (c *cluster) webhookKeys(t *testing.T) map[string][]byte {
	t.Helper()
	var secret struct{ Data map[string][]byte }
	if err := json.Unmarshal([]byte(c.kubectl(t, "get", "secret", "-n", system, webhookSecret, "-o", "json")), &secret); err != nil {
		t.Fatal(err)
	}
	return secret.Data
}

func (c *cluster) setWebhookKeys(t *testing.T, data object) {
	t.Helper()
	patch, err := json.Marshal(object{"data": data})
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "patch", "secret", "-n", system, webhookSecret, "--patch", string(patch))
}

// awaitLeaf waits until the webhook has a certificate of the authority that is
// good for long, and the API server is told to trust it.
func (c *cluster) awaitLeaf(t *testing.T, what string, a *authority) {
	t.Helper()
	begun := time.Now()
	eventually(t, what, time.Minute, func() error {
		block, _ := pem.Decode(c.webhookKeys(t)["tls.crt"])
		if block == nil {
			return errors.New("there is no certificate")
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		if err := leaf.CheckSignatureFrom(a.cert); err != nil {
			return err
		}
		if time.Until(leaf.NotAfter) < 30*24*time.Hour {
			return fmt.Errorf("the certificate ends at %s", leaf.NotAfter)
		}
		bundle := c.kubectl(t, "get", "mutatingwebhookconfiguration", webhookConfiguration, "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
		if trusted, err := base64.StdEncoding.DecodeString(bundle); err != nil || !strings.Contains(string(trusted), string(a.pem)) {
			return errors.New("the API server is not told to trust it")
		}
		return nil
	})
	t.Logf("%5.2fs  %s", time.Since(begun).Seconds(), what)
}

// testAccount takes a service account away from under its pods, and gives it
// back for another identity.
func testAccount(t *testing.T, c *cluster) {
	namespace := c.namespace(t, "account")
	try := func(client string) error {
		out, errs, err := c.tryKubectl(t, `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {`+useLabel+`: "true"}},
			spec: {serviceAccountName: app, containers: [{name: app, image: registry.test/app:1}]}}`,
			"create", "-n", namespace, "--dry-run=server", "-f", "-", "-o", `jsonpath={.spec.containers[0].env[?(@.name=="AZURE_CLIENT_ID")].value}`)
		if err != nil {
			return fmt.Errorf("%w: %s", err, errs)
		}
		if out != client {
			return fmt.Errorf("the client is %q, want %q", out, client)
		}
		return nil
	}
	account := func(client string) {
		c.apply(t, namespace, `{apiVersion: v1, kind: ServiceAccount, metadata: {name: app, annotations: {azure.workload.identity/client-id: `+client+`}}}`)
	}
	const first, second = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
	account(first)
	if err := try(first); err != nil {
		t.Errorf("a new account: %v", err)
	}
	c.kubectl(t, "delete", "serviceaccount", "app", "-n", namespace)
	if err := try(first); err == nil || !strings.Contains(err.Error(), `"app" not found`) {
		t.Errorf("a pod of an account that is gone: %v", err)
	}
	account(second)
	eventually(t, "the account for another identity", 10*time.Second, func() error { return try(second) })
}

// testKill kills the webhook's replicas, one after another, while a Deployment
// grows by 100 pods each time. The API server may ask a killed replica until its
// endpoint is gone, and lets no pod in meanwhile; whoever makes the pods tries
// again.
func testKill(t *testing.T, c *cluster) {
	namespace := c.namespace(t, "kill")
	for i, replica := range c.replicas(t) {
		container := c.kubectl(t, "get", replica, "-n", system, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
		c.apply(t, namespace, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: app}, spec: {replicas: `+fmt.Sprint(100*(i+1))+`, selector: {matchLabels: {app: a}},
			template: {metadata: {labels: {app: a, `+useLabel+`: "true"}}, spec: {schedulerName: nobody, containers: [{name: app, image: registry.test/app:1}]}}}}`)
		c.killContainer(t, container)
		before, _ := c.injected(t, namespace)
		begun := time.Now()
		c.awaitPods(t, namespace, 100*(i+1))
		t.Logf("%s was killed before pod %d; %5.2fs later there were all", replica, before, time.Since(begun).Seconds())
		eventually(t, "it is back", time.Minute, func() error {
			if restarts := c.kubectl(t, "get", replica, "-n", system, "-o", "jsonpath={.status.containerStatuses[0].restartCount}"); restarts == "0" {
				return errors.New("it was not started again")
			}
			return nil
		})
		c.wait(t, system, replica, "condition=Ready")
	}
	refused := c.kubectl(t, "get", "events", "-n", namespace, "--field-selector", "reason=FailedCreate", "-o", `jsonpath={range .items[*]}{.count} {.message}{"\n"}{end}`)
	t.Logf("refused meanwhile:\n%s", refused)
}

// killContainer kills a program that runs in a pod, which is given no time.
func (c *cluster) killContainer(t *testing.T, container string) {
	t.Helper()
	ctr := c.command(t.Context(), "true")
	ctr.Path, ctr.Args = filepath.Join(c.dir, "in"), []string{"in", "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", strings.TrimPrefix(container, "containerd://")}
	if out, errs, err := output(ctr); err != nil {
		t.Fatalf("killing %s: %v\n%s%s", container, err, out, errs)
	}
}
