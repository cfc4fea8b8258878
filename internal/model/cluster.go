package model

import (
	"crypto/rand"
	"strings"
	"time"
)

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
	// TakesOver says that its keys may decide where credentials rest on what the
	// issuer itself publishes.
	TakesOver bool `json:"takesOver,omitempty"`
	// WorkloadIdentity says that the cluster is meant to have the webhook.
	WorkloadIdentity bool `json:"workloadIdentity,omitempty"`
	// Webhook says how it gets it.
	Webhook Webhook `json:"webhook,omitzero"`
	// Kubeconfig is JSON, sealed under Key.
	Kubeconfig Sealed `json:"kubeconfig"`
	// CredentialEnds is when the kubeconfig's credential does; zero when it does not
	// say. It is nil in what older programs stored.
	CredentialEnds *time.Time `json:"credentialEnds,omitempty"`
}

// Kind implements Object.
func (*Cluster) Kind() Kind { return "Cluster" }

// Key implements Object.
func (c *Cluster) Key() string { return strings.ToLower(c.ID) }

// Index implements Object.
func (c *Cluster) Index() []string {
	all := []string{AllClusters}
	if c.Published {
		all = append(all, PublishedClusters, ClusterIssuerIndex(c.Issuer))
	}
	return all
}

// CredentialEndsSoon is how long before a cluster's credential ends it is warned of.
const CredentialEndsSoon = 14 * 24 * time.Hour

// AllClusters finds every Cluster.
const AllClusters = "clusters/all"

// PublishedClusters finds every Cluster that is Published.
const PublishedClusters = "clusters/published"

// ClusterIssuerIndex finds the Cluster that publishes an issuer's keys.
func ClusterIssuerIndex(issuer string) string { return "clusterissuer/" + issuer }

// WebhookMode is how a cluster gets the admission webhook.
type WebhookMode string

// The modes. An empty one is the server's default.
const (
	WebhookURL        WebhookMode = "url"        // the cluster calls the running server
	WebhookDeployment WebhookMode = "deployment" // it runs in the cluster
	WebhookNone       WebhookMode = "none"       // somebody else sees to it
)

// Webhook is a cluster's settings of the admission webhook. An empty one is the server's
// default.
type Webhook struct {
	Mode WebhookMode `json:"mode,omitempty"`
	// URL is where the cluster's API server reaches the server's webhook
	// listener, without a path.
	URL        string `json:"url,omitempty"`
	Image      string `json:"image,omitempty"`
	PullPolicy string `json:"pullPolicy,omitempty"`
	// HostAlias is the IP address that pods are given for the server's names.
	HostAlias string `json:"hostAlias,omitempty"`
}

// ClusterStatus is how the last work in a cluster went, as clients see it.
type ClusterStatus string

// The statuses.
const (
	ClusterUpdating  ClusterStatus = "Updating"
	ClusterSucceeded ClusterStatus = "Succeeded"
	ClusterFailed    ClusterStatus = "Failed"
	ClusterDeleting  ClusterStatus = "Deleting"
)

// ClusterState is what was done in an attached cluster. It is apart from the
// Cluster so that work in progress never disturbs who changes that.
type ClusterState struct {
	Cluster string `json:"cluster"` // its key
	// Endpoint is random: the part of the webhook listener's path that stands
	// for this cluster.
	Endpoint string `json:"endpoint"`
	// Operation is the UUID of the work that the other fields are about.
	Operation string        `json:"operation,omitempty"`
	Status    ClusterStatus `json:"status,omitempty"`
	Started   time.Time     `json:"started"`
	Ended     time.Time     `json:"ended"`           // zero: not yet
	Error     string        `json:"error,omitempty"` // of the last try; fit for who may read the cluster
	Note      string        `json:"note,omitempty"`  // what else there is to say, such as what was taken over
	// Modes are those that something of ours may be in the cluster from, the
	// wanted one first.
	Modes []WebhookMode `json:"modes,omitempty"`
	// Installed is a digest of what is in the cluster and answered; empty when
	// there is nothing, or something that is not finished.
	Installed string `json:"installed,omitempty"`
	// Answered is when the webhook last changed a pod as it should.
	Answered time.Time `json:"answered"`
}

// NewClusterState is the state of a cluster in which nothing was ever done.
func NewClusterState(cluster string, now time.Time) *ClusterState {
	return &ClusterState{Cluster: cluster, Endpoint: rand.Text(), Status: ClusterSucceeded, Ended: now.UTC()}
}

// ClusterStateKey is where the state of the cluster with the given key lives.
func ClusterStateKey(cluster string) string { return "/clusterstates" + cluster }

// Kind implements Object.
func (*ClusterState) Kind() Kind { return "ClusterState" }

// Key implements Object.
func (s *ClusterState) Key() string { return ClusterStateKey(s.Cluster) }

// Index implements Object.
func (s *ClusterState) Index() []string {
	all := []string{ClusterEndpointIndex(s.Endpoint)}
	if s.Operation != "" {
		all = append(all, ClusterOperationIndex(s.Operation))
	}
	return all
}

// ClusterEndpointIndex finds the ClusterState of an endpoint.
func ClusterEndpointIndex(endpoint string) string { return "clusterendpoint/" + endpoint }

// ClusterOperationIndex finds the ClusterState of an operation.
func ClusterOperationIndex(id string) string { return "clusteroperation/" + strings.ToLower(id) }
