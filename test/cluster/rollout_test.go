package cluster_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// system is the namespace that the webhook is installed in.
const system = "azure-workload-identity-system"

// testRollout replaces the webhook's pods, one after another, while 200 pods are
// made: none is refused, and none is made without its token.
func testRollout(t *testing.T, c *cluster) {
	s := newServer(t, c, "--address", "lanyard.test", "--listen", nodeAddress+":443", "--adfs")
	s.lanyard(nil, "cluster", "attach", "dev", "--kubeconfig", c.kubeconfig(), "--enable-oidc-issuer", "--enable-workload-identity",
		"--webhook", "deployment", "--webhook-image", "localhost/lanyard:dev", "--webhook-image-pull-policy", "Never")
	const deployment = "deployment/azure-wi-webhook-controller-manager"
	eventually(t, "the webhook is installed", commandLimit, func() error {
		_, errs, err := c.tryKubectl(t, "", "wait", "-n", system, deployment, "--for=condition=Available", "--timeout=60s")
		if err != nil {
			return fmt.Errorf("%w: %s", err, errs)
		}
		return nil
	})
	c.kubectl(t, "rollout", "status", "-n", system, deployment, "--timeout=60s")

	const n = 200
	namespace := c.namespace(t, "rollout")
	made := make(chan error, 1)
	go func() {
		_, errs, err := c.tryKubectl(t, unscheduled(n), "create", "-n", namespace, "-f", "-")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, errs)
		}
		made <- err
	}()
	count := func() int { return strings.Count(c.kubectl(t, "get", "pods", "-n", namespace, "-o", "name"), "pod/") }
	for _, pod := range strings.Fields(c.kubectl(t, "get", "pods", "-n", system, "-l", "azure-workload-identity.io/system=true", "-o", "name")) {
		before := count()
		c.kubectl(t, "delete", "-n", system, pod) // until it has ended
		c.kubectl(t, "rollout", "status", "-n", system, deployment, "--timeout=60s")
		t.Logf("%s was replaced after %d to %d pods", pod, before, count())
	}
	if err := <-made; err != nil {
		t.Errorf("a pod is refused: %v", err)
	}
	eventually(t, "all pods are made", time.Minute, func() error {
		if got := count(); got != n {
			return fmt.Errorf("%d pods, want %d", got, n)
		}
		return nil
	})
	injected := c.kubectl(t, "get", "pods", "-n", namespace, "-o", `jsonpath={range .items[*]}{.spec.containers[0].env[?(@.name=="AZURE_FEDERATED_TOKEN_FILE")].value}{"\n"}{end}`)
	if got := strings.Count(injected, "/var/run/secrets/azure/"); got != n {
		t.Errorf("%d of %d pods are injected", got, n)
	}
}

// unscheduled is a list of pods that no scheduler heeds: a node takes 110.
func unscheduled(n int) string {
	var pods []any
	for i := range n {
		pods = append(pods, object{
			"apiVersion": "v1", "kind": "Pod",
			"metadata": object{"name": fmt.Sprintf("pod-%d", i), "labels": object{useLabel: "true"}},
			"spec":     object{"schedulerName": "nobody", "containers": []any{object{"name": "app", "image": "registry.test/app:1"}}},
		})
	}
	b, err := json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": pods})
	if err != nil {
		panic(err) // strings only
	}
	return string(b)
}
