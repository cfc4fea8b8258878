package serviceaccount

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// Annotations of the service account.
func (r *run) accountRef() kube.Ref {
	return kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: r.Namespace, Name: r.Name}
}

// annotations are what the webhook reads. A Lanyard server has one tenant, which
// its webhook knows better: it may be "adfs".
func (r *run) annotations() map[string]string {
	want := map[string]string{wi.ClientIDAnnotation: r.id.Properties.ClientID}
	if r.Server.Azure {
		want[wi.TenantIDAnnotation] = r.id.Properties.TenantID
	}
	if r.Expiration != 0 {
		want[wi.ExpirationAnnotation] = strconv.Itoa(int(r.Expiration.Seconds()))
	}
	return want
}

func (r *run) createAccount(ctx context.Context) error {
	want := r.annotations()
	b, err := r.Cluster.Get(ctx, r.accountRef())
	if errors.Is(err, kube.ErrNotFound) {
		return r.newAccount(ctx, want)
	}
	if err != nil {
		return err
	}
	var have struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(b, &have); err != nil {
		return fmt.Errorf("reading the service account: %w", err)
	}
	for name, value := range want {
		if have.Metadata.Annotations[name] == value {
			delete(want, name)
		}
	}
	if len(want) == 0 {
		r.did(PhaseAccount, "unchanged", "%s in namespace %s", r.Name, r.Namespace)
		return nil
	}
	if !r.DryRun {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": want}})
		if err != nil {
			return err
		}
		if _, err := r.Cluster.Patch(ctx, r.accountRef(), kube.MergePatch, patch); err != nil {
			return err
		}
	}
	detail := fmt.Sprintf("annotations of %s in namespace %s", r.Name, r.Namespace)
	if before := have.Metadata.Annotations[wi.ClientIDAnnotation]; before != "" && want[wi.ClientIDAnnotation] != "" {
		detail += "; its client id was " + before + ": re-create its pods"
	}
	r.did(PhaseAccount, "changed", "%s", detail)
	return nil
}

func (r *run) newAccount(ctx context.Context, annotations map[string]string) error {
	if !r.DryRun {
		object, err := json.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "ServiceAccount",
			"metadata": map[string]any{"namespace": r.Namespace, "name": r.Name, "annotations": annotations},
		})
		if err != nil {
			return err
		}
		_, err = r.Cluster.Create(ctx, object)
		if errors.Is(err, kube.ErrNotFound) {
			err = fault.WithHint(err, "kubectl create namespace "+r.Namespace)
		}
		if err != nil {
			return err
		}
	}
	r.did(PhaseAccount, "created", "%s in namespace %s", r.Name, r.Namespace)
	return nil
}

func (r *run) deleteAccount(ctx context.Context) error {
	_, err := r.Cluster.Get(ctx, r.accountRef())
	if errors.Is(err, kube.ErrNotFound) {
		r.did(PhaseAccount, "absent", "")
		return nil
	}
	if err == nil && !r.DryRun {
		_, err = r.Cluster.DeleteOne(ctx, r.accountRef())
	}
	if err == nil {
		r.did(PhaseAccount, "deleted", "%s in namespace %s", r.Name, r.Namespace)
	}
	return err
}
