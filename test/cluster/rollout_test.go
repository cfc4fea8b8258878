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
// made and more are tried: none is refused, and none is made without its token.
func testRollout(t *testing.T, c *cluster) {
	const n = 200
	namespace := c.namespace(t, "rollout")
	pods := c.keepTrying(t, c.namespace(t, "tries"))
	made := make(chan error, 1)
	go func() {
		_, errs, err := c.tryKubectl(t, unscheduled(n), "create", "-n", namespace, "-f", "-")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, errs)
		}
		made <- err
	}()
	for _, pod := range c.replicas(t) {
		begun := time.Now()
		c.kubectl(t, "delete", "-n", system, pod) // until it has ended
		c.kubectl(t, "rollout", "status", "-n", system, webhookDeployment, "--timeout=60s")
		t.Logf("%5.2fs  %s is replaced", time.Since(begun).Seconds(), pod)
	}
	pods.stop(t)
	if err := <-made; err != nil {
		t.Errorf("a pod is refused: %v", err)
	}
	c.awaitPods(t, namespace, n)
}

// replicas are the webhook's pods, once there are no more than it should have.
func (c *cluster) replicas(t *testing.T) (pods []string) {
	t.Helper()
	eventually(t, "the webhook has two pods", time.Minute, func() error {
		pods = strings.Fields(c.kubectl(t, "get", "pods", "-n", system, "-l", "azure-workload-identity.io/system=true", "-o", "name"))
		if len(pods) != 2 {
			return fmt.Errorf("they are %v", pods)
		}
		return nil
	})
	return pods
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
