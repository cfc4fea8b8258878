package cluster

import (
	"errors"
	"strings"

	"github.com/lanyard-io/lanyard/deploy"
	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// object is a Kubernetes object as JSON reads it.
type object map[string]any

func (o object) ref() kube.Ref {
	text := func(m map[string]any, name string) string { s, _ := m[name].(string); return s }
	metadata := o.metadata()
	return kube.Ref{
		APIVersion: text(o, "apiVersion"), Kind: text(o, "kind"),
		Namespace: text(metadata, "namespace"), Name: text(metadata, "name"),
	}
}

func (o object) metadata() object {
	switch m := o["metadata"].(type) {
	case object:
		return m
	case map[string]any: // as the YAML decoder makes it
		return m
	}
	return nil
}

const (
	systemLabel = "azure-workload-identity.io/system"
	managedBy   = "app.kubernetes.io/managed-by"
)

// configurationRef has the name of the webhook that we stand in for: an
// installed one is replaced, not joined by a second.
func configurationRef() kube.Ref {
	return kube.Ref{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration", Name: deploy.WebhookConfiguration}
}

// manifests are the objects of a cluster's mode, the configuration last: it is
// not to name a webhook that is not there yet.
func (i *Installer) manifests(k *model.Cluster, endpoint string) ([]object, error) {
	switch i.mode(k) {
	case model.WebhookURL:
		url, err := i.url(k)
		if err != nil {
			return nil, err
		}
		return []object{i.configuration(url, endpoint)}, nil
	case model.WebhookDeployment:
		return i.deployment(k)
	}
	return nil, nil
}

// url is where a cluster reaches the listener.
func (i *Installer) url(k *model.Cluster) (string, error) {
	if i.c.Bundle == nil {
		return "", errors.New("this server serves no webhook: start it with --webhook HOST:PORT, or attach the cluster with --webhook deployment or none")
	}
	url := k.Webhook.URL
	if url == "" {
		url = i.c.URL
	}
	if url == "" {
		return "", errors.New("the webhook listener is on all addresses: attach the cluster with --webhook-url https://HOST:PORT, as its API server reaches it")
	}
	return strings.TrimRight(url, "/"), nil
}

// configuration has the API server call the running server. It selects as the
// webhook that we stand in for does, and like it keeps a pod that asks for an
// identity from starting without one.
func (i *Installer) configuration(url, endpoint string) object {
	ref := configurationRef()
	return object{
		"apiVersion": ref.APIVersion, "kind": ref.Kind,
		"metadata": object{
			"name":        ref.Name,
			"labels":      map[string]string{systemLabel: "true", managedBy: manager},
			"annotations": map[string]string{serverNote: i.c.Server},
		},
		"webhooks": []object{{
			"name":                    deploy.WebhookName,
			"admissionReviewVersions": []string{"v1", "v1beta1"},
			"clientConfig":            object{"url": url + hookPath(endpoint), "caBundle": i.c.Bundle},
			"failurePolicy":           "Fail",
			"matchPolicy":             "Equivalent",
			"objectSelector":          object{"matchLabels": map[string]string{wi.UseLabel: "true"}},
			"reinvocationPolicy":      "IfNeeded",
			"rules": []object{{
				"apiGroups": []string{""}, "apiVersions": []string{"v1"}, "operations": []string{"CREATE"}, "resources": []string{"pods"},
			}},
			"sideEffects":    "None",
			"timeoutSeconds": 5,
		}},
	}
}

// hookPath is where the listener serves a cluster.
func hookPath(endpoint string) string { return "/clusters/" + endpoint + admission.Path }

// names are the objects that a mode may have put into a cluster.
func names(mode model.WebhookMode) []kube.Ref {
	switch mode {
	case model.WebhookURL:
		return []kube.Ref{configurationRef()}
	case model.WebhookDeployment:
		return deploymentRefs()
	}
	return nil
}
