package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// manyAccounts is how many service accounts the webhook follows.
	manyAccounts = 50_000
	// mostMemory is the most that it may take for that, at any time.
	mostMemory = 60_000_000

	webhookNamespace = "azure-workload-identity-system"
)

// hooks are what an installation has before the webhook's first start.
const hooks = `
apiVersion: v1
kind: Namespace
metadata: {name: azure-workload-identity-system}
---
apiVersion: v1
kind: Secret
metadata: {name: azure-wi-webhook-server-cert, namespace: azure-workload-identity-system}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: azure-wi-webhook-mutating-webhook-configuration}
webhooks:
- name: mutation.azure-workload-identity.io
  clientConfig: {service: {name: azure-wi-webhook-webhook-service, namespace: azure-workload-identity-system, path: /mutate-v1-pod}}
  admissionReviewVersions: [v1]
  sideEffects: None
  objectSelector: {matchLabels: {azure.workload.identity/use: "true"}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`

// measureAccounts starts the webhook beside many service accounts, one in ten
// of which has an identity.
func (b *bench) measureAccounts(ctx context.Context, c *cluster) error {
	if _, err := c.kube.Apply(ctx, []byte(hooks), "bench"); err != nil {
		return err
	}
	if err := c.populate(ctx); err != nil {
		return fmt.Errorf("making service accounts: %w", err)
	}
	var best time.Duration
	var settled, peak int64
	for range b.rounds {
		ready, now, most, err := c.startOnce(ctx)
		if err != nil {
			return err
		}
		if best == 0 || ready < best {
			best = ready
		}
		settled, peak = max(settled, now), max(peak, most)
	}
	mark := ""
	if peak > mostMemory {
		mark = "  above"
	}
	fmt.Printf("\nwebhook with %d service accounts, of %d starts\n", manyAccounts, b.rounds)
	fmt.Printf("start to ready                    %s (best)\n", best.Round(time.Millisecond))
	fmt.Printf("memory (RSS), 5 s later           %.0f MB (most)\n", float64(settled)/1e6)
	fmt.Printf("memory (RSS), peak                %.0f MB (most; want ≤ %d MB)%s\n", float64(peak)/1e6, mostMemory/1_000_000, mark)
	return nil
}

func (c *cluster) startOnce(ctx context.Context) (ready time.Duration, settled, peak int64, err error) {
	ports, err := freePorts(2)
	if err != nil {
		return 0, 0, 0, err
	}
	w, err := c.startWebhook(ctx, ports[0], ports[1])
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if ready, err = w.ready(ctx); err != nil {
		return 0, 0, 0, err
	}
	time.Sleep(5 * time.Second)
	settled, peak, err = w.memory()
	progress("webhook ready after %s, %.1f MB, %.1f MB at its peak", ready.Round(time.Millisecond), float64(settled)/1e6, float64(peak)/1e6)
	return ready, settled, peak, err
}

func (c *cluster) populate(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	var made atomic.Int64
	for i := range manyAccounts {
		g.Go(func() error {
			identity := ""
			if i%10 == 0 {
				identity = fmt.Sprintf(`"azure.workload.identity/client-id":"11111111-2222-3333-4444-%012d",`, i)
			}
			_, err := c.create(ctx, "serviceaccounts", fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"workload-%05d",
				"labels":{"app.kubernetes.io/name":"workload","app.kubernetes.io/managed-by":"Helm"},
				"annotations":{%s"meta.helm.sh/release-name":"workload","meta.helm.sh/release-namespace":"default"}}}`, i, identity))
			if n := made.Add(1); n%10_000 == 0 {
				progress("made %d of %d service accounts", n, manyAccounts)
			}
			return err
		})
	}
	return g.Wait()
}
