package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// Check has the webhook change a pod in a dry run.
func (i *Installer) Check(ctx context.Context, kubeconfig []byte) error {
	api, err := i.connect(kubeconfig)
	if err != nil {
		return err
	}
	defer api.Close()
	return i.probe(ctx, api)
}

// Pauses between two probes: the first after the API server has usually heard of
// the configuration.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 2 * time.Second
)

// await probes until the webhook answers as it should.
func (i *Installer) await(ctx context.Context, api *kube.Cluster, patience time.Duration) error {
	end := time.NewTimer(patience)
	defer end.Stop()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := i.probe(ctx, api)
		if err == nil {
			return nil
		}
		next := time.NewTimer(pause)
		select {
		case <-next.C:
		case <-end.C:
			next.Stop()
			return fmt.Errorf("the webhook is installed, but does not answer within %s: %w", patience, err)
		case <-ctx.Done():
			next.Stop()
			return fmt.Errorf("the webhook is installed, but does not answer: %w", err)
		}
	}
}

// probe has the cluster make a pod that asks for the webhook, in a dry run, and
// looks at what would be made. The pod passes the strictest pod security.
func (i *Installer) probe(ctx context.Context, api *kube.Cluster) error {
	namespace := api.Namespace()
	if namespace == "" {
		namespace = "default"
	}
	small := object{"cpu": "1m", "memory": "1Mi"}
	pod, err := json.Marshal(object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{
			"generateName": "lanyard-probe-", "namespace": namespace,
			"labels": map[string]string{wi.UseLabel: "true"},
		},
		"spec": object{
			"securityContext": object{"runAsNonRoot": true, "seccompProfile": object{"type": "RuntimeDefault"}},
			"containers": []object{{
				"name": "probe", "image": "probe.invalid/probe",
				"securityContext": object{"allowPrivilegeEscalation": false, "capabilities": object{"drop": []string{"ALL"}}},
				"resources":       object{"requests": small, "limits": small},
			}},
		},
	})
	if err != nil {
		return err
	}
	made, _, err := api.DryRun(ctx, pod)
	if err != nil {
		return fmt.Errorf("trying a pod in namespace %s: %w", namespace, err)
	}
	return i.checkPod(made)
}

// checkPod says whether a pod went through this server's webhook.
func (i *Installer) checkPod(pod []byte) error {
	var p struct {
		Spec struct {
			Containers []struct {
				Name string `json:"name"`
				Env  []struct {
					Name  string `json:"name"`
					Value string `json:"value"`
				} `json:"env"`
			} `json:"containers"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(pod, &p); err != nil {
		return fmt.Errorf("reading a tried pod: %w", err)
	}
	got := map[string]string{}
	for _, c := range p.Spec.Containers {
		for _, e := range c.Env {
			if c.Name == "probe" {
				got[e.Name] = e.Value
			}
		}
	}
	if _, ok := got[wi.TokenFileEnv]; !ok {
		return errors.New("a tried pod came back without an identity: no webhook changed it")
	}
	for name, want := range map[string]string{wi.AuthorityEnv: i.c.Authority, wi.TenantIDEnv: i.c.TenantID} {
		if got[name] != want {
			return fmt.Errorf("a tried pod came back with %s=%q, want %q: another webhook, or an old one, changed it", name, got[name], want)
		}
	}
	return nil
}
