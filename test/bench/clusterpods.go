package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/lanyard-io/lanyard/internal/pki"
)

// podHooks sends labelled pods to the webhook; its holes are for the URL and the CA.
const podHooks = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: bench}
webhooks:
- name: bench.lanyard.io
  clientConfig: {url: %q, caBundle: %q}
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  reinvocationPolicy: IfNeeded
  objectSelector: {matchLabels: {azure.workload.identity/use: "true"}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`

const podAccount = `
apiVersion: v1
kind: ServiceAccount
metadata:
  name: bench
  namespace: default
  annotations: {azure.workload.identity/client-id: 11111111-2222-3333-4444-555555555555}
`

// podCase is a way to make pods.
type podCase struct {
	name       string
	configured bool // the API server knows of the webhook
	selected   bool // and the pods ask for it
	results    []result
}

// measurePods makes pods beside the webhook and without it.
func (b *bench) measurePods(ctx context.Context, c *cluster) error {
	if _, err := c.kube.Apply(ctx, []byte(podAccount), "bench"); err != nil {
		return err
	}
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	ca, err := c.writeCertificate()
	if err != nil {
		return err
	}
	w, err := c.startWebhook(ctx, ports[0], ports[1], "--disable-cert-rotation", "--webhook-cert-dir", c.dir, "--log-level", "info")
	if err != nil {
		return err
	}
	if _, err = w.ready(ctx); err == nil {
		hooks := fmt.Sprintf(podHooks, "https://"+ports[0]+"/mutate-v1-pod", base64.StdEncoding.EncodeToString(ca))
		err = b.comparePods(ctx, c, hooks)
	}
	return errors.Join(err, w.stop())
}

func (b *bench) comparePods(ctx context.Context, c *cluster, hooks string) error {
	fmt.Printf("\npods made on etcd and kube-apiserver alone, median of %d × %s, in turns; cpu is of all processes\n", b.rounds, b.slice)
	fmt.Printf("%-30s %8s %8s %8s %9s %9s %8s %9s\n", "case", "clients", "pods/s", "p50", "p99", "cpu/pod", "ratio", "cpu ratio")
	var made atomic.Int64
	for _, clients := range []int{1, 8} {
		progress("making pods with %d clients", clients)
		one := *b
		one.workers, one.cpu = clients, treeTime
		cases := []podCase{
			{name: "without webhook"}, {name: "webhook, pods not selected", configured: true},
			{name: "webhook, pods injected", configured: true, selected: true},
		}
		for range b.rounds {
			for i := range cases {
				p := &cases[i]
				if err := c.configure(ctx, hooks, p.configured); err != nil {
					return err
				}
				r, err := one.measure(ctx, func(ctx context.Context, _ int) error {
					_, err := c.create(ctx, "pods", podNamed(fmt.Sprintf("bench-%d", made.Add(1)), p.selected))
					return err
				})
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				p.results = append(p.results, r)
			}
		}
		base := median(cases[0].results)
		for _, p := range cases {
			r := median(p.results)
			fmt.Printf("%-30s %8d %8.0f %8s %9s %9s %8.2f %9.2f\n", p.name, clients, r.rate, us(r.p50), us(r.p99), us(r.cpu),
				r.rate/base.rate, float64(base.cpu)/float64(r.cpu))
		}
	}
	return c.configure(ctx, hooks, false)
}

// configure tells the API server of the webhook, or takes it away, and waits
// until it does as told: it hears of its own objects by watching them.
func (c *cluster) configure(ctx context.Context, hooks string, on bool) error {
	change := func() error { _, err := c.kube.Apply(ctx, []byte(hooks), "bench"); return err }
	if !on {
		change = func() error { _, err := c.kube.Delete(ctx, []byte(hooks)); return err }
	}
	if err := change(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		b, err := c.create(ctx, "pods?dryRun=All", podNamed("probe", true))
		if err != nil {
			return err
		}
		var pod struct {
			Spec struct {
				Containers []struct{ Env []json.RawMessage }
			}
		}
		if err := json.Unmarshal(b, &pod); err != nil {
			return err
		}
		if injected := len(pod.Spec.Containers) == 1 && len(pod.Spec.Containers[0].Env) > 2; injected == on {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func podNamed(name string, selected bool) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"labels":{"app":"bench","azure.workload.identity/use":"%t"}},
		"spec":{"serviceAccountName":"bench","containers":[{"name":"app","image":"registry.example/team/app:1.2.3",
		"env":[{"name":"PORT","value":"8080"},{"name":"LOG_LEVEL","value":"info"}],"resources":{"limits":{"cpu":"1","memory":"1Gi"}}}]}}`, name, selected)
}

// writeCertificate makes the webhook's certificate for its address, and gives
// the authority that signed it.
func (c *cluster) writeCertificate() ([]byte, error) {
	ca, err := pki.NewPrivateCA(time.Now())
	if err != nil {
		return nil, err
	}
	leaf, err := ca.Leaf([]string{"127.0.0.1"}, time.Now(), 24*time.Hour)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return nil, err
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}, "tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return ca.PEM(), nil
}
