package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/lanyard-io/lanyard/deploy"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
)

// deployment are the objects of a webhook that runs in the cluster.
func (i *Installer) deployment(k *model.Cluster) ([]object, error) {
	image := i.image(k)
	if image == "" {
		return nil, errors.New("no image is known for the webhook: attach the cluster with --webhook-image, or start this server with it")
	}
	c := deploy.WebhookConfig{
		Image: image, PullPolicy: k.Webhook.PullPolicy,
		TenantID: i.c.TenantID, Authority: i.c.Authority, CA: i.c.CA,
		TokenProxy: &deploy.TokenProxy{
			Suffix: bindingSuffix, Audience: model.BindingAudience, URL: i.bindingURL(k), CAData: string(i.c.CA),
		},
	}
	if k.Webhook.HostAlias != "" {
		c.HostAliases = []deploy.HostAlias{{IP: k.Webhook.HostAlias, Hostnames: i.c.Names()}}
	}
	objects, err := render(c)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		note(o, i.c.Server)
	}
	return objects, nil
}

// image is that of the webhook and of the proxy sidecar; it may be empty.
func (i *Installer) image(k *model.Cluster) string {
	if k.Webhook.Image != "" {
		return k.Webhook.Image
	}
	return i.c.Image
}

// render gives the manifests as objects.
func render(c deploy.WebhookConfig) ([]object, error) {
	manifests, err := deploy.Webhook(c)
	if err != nil {
		return nil, err
	}
	var all []object
	for d := yaml.NewDecoder(bytes.NewReader(manifests)); ; {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the webhook's manifests: %w", err)
		}
		all = append(all, o)
	}
}

// note marks an object as this server's.
func note(o object, server string) {
	metadata := o.metadata()
	metadata["annotations"] = object{serverNote: server}
	labels, ok := metadata["labels"].(map[string]any)
	if l, isObject := metadata["labels"].(object); isObject {
		labels, ok = l, true
	}
	if !ok {
		labels = map[string]any{}
		metadata["labels"] = labels
	}
	labels[managedBy] = manager
}

// deploymentRefs are the objects that some configuration has.
func deploymentRefs() []kube.Ref {
	all, err := render(deploy.WebhookConfig{Image: "-", TenantID: "-", CA: []byte("-")})
	if err != nil {
		return nil // the manifests are ours: a test renders them
	}
	var refs []kube.Ref
	for _, o := range all {
		refs = append(refs, o.ref())
	}
	return refs
}
