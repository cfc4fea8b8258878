package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/wi"
)

type meta struct {
	Name        string            `json:"name"`
	UID         string            `json:"uid"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Created     time.Time         `json:"creationTimestamp"`
}

// pod is what of a pod matters here.
type pod struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		Account    string      `json:"serviceAccountName"`
		Init       []container `json:"initContainers"`
		Containers []container `json:"containers"`
		Volumes    []volume    `json:"volumes"`
		Aliases    []struct {
			IP    string   `json:"ip"`
			Names []string `json:"hostnames"`
		} `json:"hostAliases"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

type container struct {
	Name   string     `json:"name"`
	Env    []variable `json:"env"`
	Mounts []struct {
		Name string `json:"name"`
		Path string `json:"mountPath"`
	} `json:"volumeMounts"`
}

type variable struct {
	Name  string          `json:"name"`
	Value string          `json:"value"`
	From  json.RawMessage `json:"valueFrom"`
}

type volume struct {
	Name      string `json:"name"`
	Projected *struct {
		Sources []struct {
			Token *struct {
				Audience string `json:"audience"`
				Path     string `json:"path"`
			} `json:"serviceAccountToken"`
		} `json:"sources"`
	} `json:"projected"`
}

// value is a variable's value; set tells one that comes from elsewhere too.
func (c *container) value(name string) (value string, set bool) {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value, true
		}
	}
	return "", false
}

// value is the first container's that sets it.
func (p *pod) value(name string) string {
	for _, c := range p.Spec.Containers {
		if v, _ := c.value(name); v != "" {
			return v
		}
	}
	return ""
}

// audience is what the pod's federated token is for.
func (p *pod) audience() string {
	for _, v := range p.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Token != nil && strings.HasSuffix(s.Token.Path, wi.TokenName) {
				return s.Token.Audience
			}
		}
	}
	return wi.Audience
}

// bound says whether the pod uses an identity binding: its token is for a proxy in
// the cluster, which no federated credential knows.
// https://learn.microsoft.com/azure/aks/identity-bindings-concepts
func (p *pod) bound() bool { return p.value(wi.TokenProxyEnv) != "" }

const boundWords = "the pod uses an identity binding: the cluster's proxy decides, by the rights of the service account"

// skipped says whether the webhook was told to leave a container alone.
func (p *pod) skipped(name string) bool {
	for s := range strings.SplitSeq(p.Metadata.Annotations[wi.SkipAnnotation], ";") {
		if strings.TrimSpace(s) == name {
			return true
		}
	}
	return false
}

type account struct {
	Metadata meta `json:"metadata"`
}

// read gets one object of the cluster.
func (w *walk) read(ctx context.Context, apiVersion, kind, namespace, name string, into any) error {
	b, err := w.Cluster.Get(ctx, kube.Ref{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name})
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

func (w *walk) findPod(ctx context.Context) {
	ns, name := w.report.Namespace, w.report.Pod
	err := w.read(ctx, "v1", "Pod", ns, name, &w.pod)
	switch {
	case errors.Is(err, kube.ErrNotFound):
		w.problem(linkPod, "kubectl get pods -A | grep "+name, "namespace %s has no pod %q", ns, name)
	case err != nil:
		w.problem(linkPod, "sign in to the cluster as somebody who may read pods", "the pod cannot be read: %v", err)
	default:
		if w.pod.Spec.Account == "" {
			w.pod.Spec.Account = "default"
		}
		w.ok(linkPod, "%s in namespace %s, since %s, %s", name, ns, w.pod.Metadata.Created.UTC().Format(time.RFC3339), strings.ToLower(w.pod.Status.Phase))
	}
}

func (w *walk) checkLabel(context.Context) {
	value, ok := w.pod.Metadata.Labels[wi.UseLabel]
	fix := `add the label ` + wi.UseLabel + `: "true" to the pod's template (not to the service account), and re-create the pod`
	switch {
	case value == "true":
		w.ok(linkLabel, "%s=true", wi.UseLabel)
	case ok:
		w.problem(linkLabel, fix, "the label %s is %q: only \"true\" counts", wi.UseLabel, value)
	case w.pod.Metadata.Annotations[wi.UseLabel] != "":
		w.problem(linkLabel, fix, "%s is an annotation of the pod: it must be a label", wi.UseLabel)
	default:
		w.problem(linkLabel, fix, "the pod lacks the label %s", wi.UseLabel)
	}
}

func (w *walk) findAccount(ctx context.Context) {
	ns, name := w.report.Namespace, w.pod.Spec.Account
	err := w.read(ctx, "v1", "ServiceAccount", ns, name, &w.account)
	switch {
	case errors.Is(err, kube.ErrNotFound):
		w.problem(linkAccount, fmt.Sprintf("kubectl create serviceaccount %s -n %s, and annotate it", name, ns),
			"namespace %s has no service account %q", ns, name)
	case err != nil:
		w.problem(linkAccount, "sign in to the cluster as somebody who may read service accounts", "the service account cannot be read: %v", err)
	default:
		w.ok(linkAccount, "%s", name)
	}
}

// firstGUID is the first of some texts that is one but for blanks around it.
func firstGUID(none string, texts ...string) string {
	for _, text := range texts {
		if text = strings.TrimSpace(text); validGUID(text) {
			return text
		}
	}
	return none
}

func (w *walk) checkClientID(context.Context) {
	value, ok := w.account.Metadata.Annotations[wi.ClientIDAnnotation]
	own := w.pod.value(wi.ClientIDEnv)
	fix := fmt.Sprintf("kubectl annotate serviceaccount %s -n %s --overwrite %s=%s, and re-create the pod",
		w.pod.Spec.Account, w.report.Namespace, wi.ClientIDAnnotation, firstGUID("CLIENT-ID",
			value, w.account.Metadata.Labels[wi.ClientIDAnnotation], w.pod.Metadata.Annotations[wi.ClientIDAnnotation], own))
	switch {
	case validGUID(value):
		w.clientID = value
		w.ok(linkClientID, "%s", value)
	case value == "" && validGUID(own):
		w.clientID = own
		w.warn(linkClientID, fix, "the service account names none; the pod sets AZURE_CLIENT_ID itself: %s", own)
	case ok && strings.TrimSpace(value) != value:
		w.problem(linkClientID, fix, "the service account's client id %q has blanks around it", value)
	case ok:
		w.problem(linkClientID, fix, "the service account's client id %q is not a GUID", value)
	case w.account.Metadata.Labels[wi.ClientIDAnnotation] != "":
		w.problem(linkClientID, fix, "%s is a label of the service account: it must be an annotation", wi.ClientIDAnnotation)
	case w.pod.Metadata.Annotations[wi.ClientIDAnnotation] != "":
		w.problem(linkClientID, fix, "%s is an annotation of the pod: it must be one of the service account", wi.ClientIDAnnotation)
	case w.pod.Spec.Account == "default":
		w.problem(linkClientID, "set serviceAccountName in the pod's template to the annotated service account, and re-create the pod",
			"the pod runs as the service account \"default\", which has no %s", wi.ClientIDAnnotation)
	default:
		w.problem(linkClientID, fix, "the service account lacks the annotation %s", wi.ClientIDAnnotation)
	}
}

// validGUID takes either case, as Azure does.
func validGUID(s string) bool {
	parts := strings.Split(strings.ToLower(s), "-")
	return len(s) == 36 && slices.EqualFunc(parts, []int{8, 4, 4, 4, 12}, func(p string, n int) bool {
		return len(p) == n && strings.Trim(p, "0123456789abcdef") == ""
	})
}
