package model

import "strings"

// Cluster is a Kubernetes cluster that was attached: its API server, and the
// credentials to reach it. In ARM it is a managed cluster.
type Cluster struct {
	Resource
	Server  string `json:"server"`            // URL of its API server
	Version string `json:"version,omitempty"` // of Kubernetes, when it was attached
	// Issuer of its service accounts' tokens, as its API server named it when it
	// was attached. Another one later is not believed.
	Issuer string `json:"issuer,omitempty"`
	// Published says that Issuer's keys are read through the API server and kept
	// in an Issuer object.
	Published bool `json:"published,omitempty"`
	// WorkloadIdentity says that the cluster is meant to have the webhook.
	WorkloadIdentity bool `json:"workloadIdentity,omitempty"`
	// Kubeconfig is JSON, sealed under Key.
	Kubeconfig []byte `json:"kubeconfig"`
}

// Kind implements Object.
func (*Cluster) Kind() Kind { return "Cluster" }

// Key implements Object.
func (c *Cluster) Key() string { return strings.ToLower(c.ID) }

// Index implements Object.
func (c *Cluster) Index() []string {
	if !c.Published {
		return nil
	}
	return []string{PublishedClusters, ClusterIssuerIndex(c.Issuer)}
}

// PublishedClusters finds every Cluster that is Published.
const PublishedClusters = "clusters/published"

// ClusterIssuerIndex finds the Cluster that publishes an issuer's keys.
func ClusterIssuerIndex(issuer string) string { return "clusterissuer/" + issuer }
