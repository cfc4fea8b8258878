package arm

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// webhookInput is a cluster's settings of the webhook. A setting that is missing stays.
type webhookInput struct {
	Mode       *model.WebhookMode `json:"mode"`
	URL        *string            `json:"url"`
	Image      *string            `json:"image"`
	PullPolicy *string            `json:"imagePullPolicy"`
	HostAlias  *string            `json:"hostAlias"`
}

// setWebhook takes over changed settings. They decide what runs in the cluster
// with the attached credentials, so they need the right to attach it.
func (c *call) setWebhook(next *model.Cluster, in *webhookInput) error {
	if in == nil {
		return nil
	}
	old := next.Webhook
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	if in.Mode != nil {
		next.Webhook.Mode = *in.Mode
	}
	set(&next.Webhook.URL, in.URL)
	set(&next.Webhook.Image, in.Image)
	set(&next.Webhook.PullPolicy, in.PullPolicy)
	set(&next.Webhook.HostAlias, in.HostAlias)
	if next.Webhook == old {
		return nil
	}
	if err := c.s.gate.Check(c.r.Context(), c.view, c.caller, writeIssuers, "/"); err != nil {
		return err
	}
	return checkWebhook(&next.Webhook)
}

func checkWebhook(w *model.Webhook) error {
	switch w.Mode {
	case "", model.WebhookURL, model.WebhookDeployment, model.WebhookNone:
	default:
		return fail(badRequest, "The webhook's mode must be 'url', 'deployment' or 'none', not '%.32s'.", w.Mode)
	}
	switch w.PullPolicy {
	case "", "Always", "IfNotPresent", "Never":
	default:
		return fail(badRequest, "The webhook's imagePullPolicy must be 'Always', 'IfNotPresent' or 'Never'.")
	}
	if w.Image != "" && (len(w.Image) > 512 || strings.ContainsFunc(w.Image, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\'' || r == '\\' })) {
		return fail(badRequest, "The webhook's image is not the name of an image.")
	}
	if w.HostAlias != "" && net.ParseIP(w.HostAlias) == nil {
		return fail(badRequest, "The hostAlias must be an IP address.")
	}
	if w.URL == "" {
		return nil
	}
	u, err := url.Parse(w.URL)
	if err != nil || len(w.URL) > 512 || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" ||
		strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fail(badRequest, "The webhook's URL must be 'https://HOST:PORT': where the cluster's API server reaches this server's webhook listener.")
	}
	return nil
}

// settle is how long a request waits for the work in the cluster, before it
// leaves its client to poll.
const settle = 2 * time.Second

// askForWork has the cluster follow a change, once that is written. A mode that
// cannot be served is refused before anything is.
func (c *call) askForWork(ch *change, next *model.Cluster) error {
	if _, err := c.s.clusters.Mode(next); err != nil {
		return fail(badRequest, "Workload identity cannot be enabled: %s.", err)
	}
	ch.after = func() {
		operation, done, err := c.s.clusters.Work(c.r.Context(), next)
		if err != nil { // the next tick begins it
			c.s.log.WarnContext(c.r.Context(), "could not begin the work in a cluster", "cluster", next.ID, "error", err)
		}
		if operation != "" {
			c.awaitWork(next.Key(), operation, done)
		}
	}
	return nil
}

// awaitWork waits for a while, then tells the client where to ask.
// https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
func (c *call) awaitWork(key, operation string, done <-chan struct{}) {
	wait := time.NewTimer(settle)
	defer wait.Stop()
	select {
	case <-done:
	case <-wait.C:
	case <-c.r.Context().Done():
	}
	if v, err := c.s.store.Fresh(c.r.Context()); err == nil {
		c.view = v
	}
	state := c.clusterState(key)
	if state.Operation == operation && state.Status == model.ClusterSucceeded {
		return
	}
	// A failure too is told by the operation: there is no room for its words here.
	c.unsettled = true
	location := "eastus"
	if k, _, ok := store.Get[*model.Cluster](c.view, key); ok {
		location = k.Location
	}
	c.w.Header().Set("Azure-AsyncOperation", c.url(c.s.sub+"/providers/Microsoft.ContainerService/locations/"+location+"/operations/"+operation, nil))
	c.w.Header().Set("Retry-After", "1")
}

// clusterState is the state of a cluster as it is stored.
func (c *call) clusterState(key string) *model.ClusterState {
	if state, _, ok := store.Get[*model.ClusterState](c.view, model.ClusterStateKey(key)); ok {
		return state
	}
	return model.NewClusterState(key, c.s.now())
}

// operationOutput is https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations.
type operationOutput struct {
	ID     string          `json:"id"`
	Name   string          `json:"name"`
	Status string          `json:"status"`
	Start  string          `json:"startTime,omitempty"`
	End    string          `json:"endTime,omitempty"`
	Error  *operationError `json:"error,omitempty"`
}

type operationError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// getClusterOperation answers those who poll, if they may read the cluster.
func (c *call) getClusterOperation() error {
	e := c.view.First(model.ClusterOperationIndex(c.id.Name()))
	if e == nil {
		return c.notFound(c.id)
	}
	state, ok := e.Value.(*model.ClusterState)
	if !ok {
		return c.notFound(c.id)
	}
	if err := c.s.gate.Check(c.r.Context(), c.view, c.caller, clusterType+"/read", state.Cluster); err != nil {
		return err
	}
	out := operationOutput{
		ID: c.id.String(), Name: c.id.Name(), Status: "InProgress", Start: wireTime(state.Started), End: wireTime(state.Ended),
	}
	switch state.Status {
	case model.ClusterSucceeded, model.ClusterFailed:
		out.Status = string(state.Status)
	}
	if state.Status == model.ClusterFailed {
		out.Error = &operationError{Code: "WebhookNotReady", Message: "The webhook could not be brought to its wanted state: " + state.Error + ". It is tried again every minute."}
	}
	if out.Status == "InProgress" {
		c.w.Header().Set("Retry-After", "1")
	}
	return httpx.WriteJSON(c.w, http.StatusOK, out)
}

// clusterWebhook is ours: the settings of the webhook and how it is.
type clusterWebhook struct {
	Mode       model.WebhookMode `json:"mode,omitempty"`
	URL        string            `json:"url,omitempty"`
	Image      string            `json:"image,omitempty"`
	PullPolicy string            `json:"imagePullPolicy,omitempty"`
	HostAlias  string            `json:"hostAlias,omitempty"`
	State      webhookState      `json:"state"`
}

type webhookState struct {
	Mode      model.WebhookMode `json:"mode,omitempty"` // what the settings come to
	Installed bool              `json:"installed"`
	Answered  string            `json:"answered,omitempty"` // when it last changed a pod
	Error     string            `json:"error,omitempty"`
	Note      string            `json:"note,omitempty"`
}

func (c *call) showWebhook(k *model.Cluster, state *model.ClusterState) clusterWebhook {
	out := clusterWebhook{
		Mode: k.Webhook.Mode, URL: k.Webhook.URL, Image: k.Webhook.Image, PullPolicy: k.Webhook.PullPolicy, HostAlias: k.Webhook.HostAlias,
		State: webhookState{Installed: state.Installed != "", Answered: wireTime(state.Answered), Error: state.Error, Note: state.Note},
	}
	var err error
	if out.State.Mode, err = c.s.clusters.Mode(k); err != nil && out.State.Error == "" {
		out.State.Error = err.Error()
	}
	return out
}
