package manage

import (
	"context"
	"net/url"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// Cluster is an attached cluster.
type Cluster struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties struct {
		State   string `json:"provisioningState"`
		Version string `json:"kubernetesVersion"`
		OIDC    struct {
			Enabled bool   `json:"enabled"`
			URL     string `json:"issuerURL,omitempty"`
		} `json:"oidcIssuerProfile"`
		Security struct {
			WorkloadIdentity struct {
				Enabled bool `json:"enabled"`
			} `json:"workloadIdentity"`
		} `json:"securityProfile"`
		Attachment struct {
			Server         string   `json:"server"`
			Issuer         string   `json:"issuer"`
			KeysRead       string   `json:"keysRead,omitempty"`
			KeysError      string   `json:"keysError,omitempty"`
			CredentialEnds string   `json:"credentialEnds,omitempty"`
			Attention      string   `json:"attention,omitempty"`
			Webhook        *Webhook `json:"webhook,omitempty"`
		} `json:"attachment"`
	} `json:"properties"`
}

// Busy says that the server is not done with the cluster.
func (k Cluster) Busy() bool { return k.Properties.State == "Updating" }

// Webhook is how a cluster gets the webhook, and how that goes.
type Webhook struct {
	Mode       string `json:"mode,omitempty"`
	URL        string `json:"url,omitempty"`
	Image      string `json:"image,omitempty"`
	PullPolicy string `json:"imagePullPolicy,omitempty"`
	HostAlias  string `json:"hostAlias,omitempty"`
	State      *struct {
		Mode      string `json:"mode,omitempty"`
		Installed bool   `json:"installed"`
		Answered  string `json:"answered,omitempty"`
		Error     string `json:"error,omitempty"`
		Note      string `json:"note,omitempty"`
	} `json:"state,omitempty"`
}

// Clusters are a group's attached clusters; without a group, all can be listed.
func (c *Client) Clusters(group string) Collection[Cluster] {
	return inGroup[Cluster](c, group, clusterKind())
}

// Binding is an identity binding: the cluster says which of its accounts may be the
// identity.
type Binding struct {
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name,omitempty"`
	Properties BindingProperties `json:"properties"`
}

// BindingProperties of a new binding are the identity's resource id alone.
type BindingProperties struct {
	Identity struct {
		ID       string `json:"resourceId"`
		ClientID string `json:"clientId,omitempty"`
	} `json:"managedIdentity"`
	Proxy struct {
		URL string `json:"url"`
	} `json:"tokenProxy,omitzero"`
}

// Identity is the bound identity's name.
func (b Binding) Identity() string { return lastStep(b.Properties.Identity.ID) }

// NewBinding is a binding to create of an identity.
func NewBinding(identityID string) (b Binding) {
	b.Properties.Identity.ID = identityID
	return b
}

// Bindings are a cluster's.
func (c *Client) Bindings(group, cluster string) Collection[Binding] {
	path := c.Clusters(group).ID(cluster) + "/identityBindings"
	return Collection[Binding]{
		api: c.ResourceManager(clusterVersion), path: path,
		id: func(name string) string { return path + "/" + url.PathEscape(name) },
		missing: func(ctx context.Context, name string) error {
			if _, err := c.Clusters(group).Get(ctx, cluster); err != nil {
				return err
			}
			hint := "lanyard binding list --cluster " + shell.Quote(cluster)
			if group != DefaultGroup {
				hint += " -g " + shell.Quote(group)
			}
			return fault.WithHint(fault.Absent("no identity binding %q of the cluster %s", name, cluster), hint)
		},
	}
}
