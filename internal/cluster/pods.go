package cluster

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// admission is what pods of a cluster get from the running server.
func (i *Installer) admission(k *model.Cluster) *admission.Config {
	c := &admission.Config{Authority: i.c.Authority, TenantID: i.c.TenantID}
	if i.c.CA != nil {
		c.Trust = &admission.Trust{PEM: i.c.CA}
	}
	if k.Webhook.HostAlias != "" {
		c.HostAliases = []admission.HostAlias{{IP: k.Webhook.HostAlias, Hostnames: i.c.Names()}}
	}
	c.Sidecar = admission.Sidecar{Image: i.image(k), PullPolicy: k.Webhook.PullPolicy, Native: restartableInit(k.Version)}
	c.TokenProxy = &admission.TokenProxy{
		Suffix: bindingSuffix, Audience: model.BindingAudience, URL: i.bindingURL(k), CAData: string(i.c.CA),
	}
	return c
}

// bindingSuffix makes the annotation by which pods ask for an identity binding,
// as in the managed service: azure.workload.identity/use-identity-binding.
const bindingSuffix = "identity-binding"

// bindingURL is the cluster's identity binding endpoint.
func (i *Installer) bindingURL(k *model.Cluster) string {
	return strings.TrimRight(i.c.Authority, "/") + model.BindingPath(k.Key())
}

// restartableInit says whether Kubernetes of a version such as 1.37.2 runs init
// containers that restart.
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
func restartableInit(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	return major == "1" && err == nil && n >= 32
}

// accounts gives admission the service accounts that kube follows.
type accounts struct{ all *kube.Accounts }

// Account implements admission.Accounts.
func (a accounts) Account(ctx context.Context, namespace, name string) (admission.Account, error) {
	got, err := a.all.Account(ctx, namespace, name)
	if errors.Is(err, kube.ErrNotFound) {
		return admission.Account{}, admission.ErrNoAccount
	}
	return admission.Account{Namespace: got.Namespace, Name: got.Name, Annotations: got.Annotations}, err
}

// federated knows the federated credentials for one issuer.
type federated struct {
	store  *store.Store
	issuer string
}

// known says whether a client has a credential for a subject of the issuer. A
// flexible one may fit or not: the token that decides does not exist yet.
func (f federated) known(_ context.Context, clientID, subject string) (known, ok bool) {
	view, err := f.store.View()
	if err != nil || f.issuer == "" {
		return false, false
	}
	client := view.First(model.ClientIndex(clientID))
	if client == nil {
		return false, true
	}
	for e := range view.Lookup(model.FederationIndex(client.Key, f.issuer, "")) {
		c, isCredential := e.Value.(*model.FederatedCredential)
		switch {
		case !isCredential || c.Issuer != f.issuer:
		case c.Matching != nil:
			return false, false
		case c.Subject == subject:
			return true, true
		}
	}
	return false, true
}
