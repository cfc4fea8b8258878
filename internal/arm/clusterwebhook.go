package arm

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// webhookInput is a cluster's settings of the webhook. What is missing stays.
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
	if err := c.s.c.Gate.Check(c.r.Context(), c.view, c.caller, writeIssuers, "/"); err != nil {
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
	if c.s.c.Webhooks == nil {
		return nil
	}
	if _, _, err := c.s.plan(next, ""); err != nil {
		return fail(badRequest, "Workload identity cannot be enabled: %s.", err)
	}
	ch.after = func() {
		operation, err := c.beginWork(next)
		if err != nil { // the next tick begins it
			c.s.c.Log.WarnContext(c.r.Context(), "could not begin the work in a cluster", "cluster", next.ID, "error", err)
		}
		if operation != "" {
			c.awaitWork(next.Key(), operation)
		}
	}
	return nil
}

// beginWork writes down that there is work in a cluster. Whoever writes the state
// at the same time, after work that is done, is no reason to refuse the request.
func (c *call) beginWork(next *model.Cluster) (operation string, err error) {
	for range maxRounds {
		if c.view, err = c.s.c.Store.Fresh(c.r.Context()); err != nil {
			return "", err
		}
		state, rev := c.s.clusterState(c.view, next.Key())
		_, digest, err := c.s.plan(next, state.Endpoint)
		if err != nil || digest == state.Installed && (digest != "" || len(state.Modes) == 0) && state.Error == "" {
			return "", err
		}
		working := *state
		if working.Status != model.ClusterUpdating {
			working.Operation = model.NewUUID()
		}
		working.Status, working.Started, working.Ended, working.Error = model.ClusterUpdating, c.s.c.Now().UTC(), time.Time{}, ""
		if _, err = c.s.c.Store.Put(c.r.Context(), &working, rev); !errors.Is(err, store.ErrConflict) {
			return working.Operation, err
		}
	}
	return "", store.ErrConflict
}

// awaitWork waits for a while, then tells the client where to ask.
// https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
func (c *call) awaitWork(key, operation string) {
	wait := time.NewTimer(settle)
	defer wait.Stop()
	select {
	case <-c.s.works.kick(key):
	case <-wait.C:
	case <-c.r.Context().Done():
	}
	if v, err := c.s.c.Store.Fresh(c.r.Context()); err == nil {
		c.view = v
	}
	state, _ := c.s.clusterState(c.view, key)
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
	if err := c.s.c.Gate.Check(c.r.Context(), c.view, c.caller, clusterType+"/read", state.Cluster); err != nil {
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

// clearCluster takes the webhook out of a cluster that is about to be detached:
// afterwards nobody has its credentials. force goes on when that fails.
func (s *Server) clearCluster(ctx context.Context, cluster *model.Cluster, force bool) error {
	going, rev, err := s.beginLeaving(ctx, cluster.Key())
	if err != nil || going == nil {
		return err
	}
	work, cancel := context.WithTimeout(ctx, removalTimeout)
	defer cancel()
	err = s.works.alone(work, cluster.Key(), func() error {
		kubeconfig, err := s.rawKubeconfig(cluster)
		if err != nil {
			return err
		}
		was := *going
		if err := s.uninstall(work, kubeconfig, going, model.WebhookNone); err != nil {
			return err
		}
		select { // until another replica has heard of it, and what it asked for has come
		case <-time.After(leavingPoll + lastRequest):
		case <-work.Done():
			return work.Err()
		}
		return s.uninstall(work, kubeconfig, &was, model.WebhookNone)
	})
	switch {
	case err == nil:
		return nil
	case force:
		s.c.Log.WarnContext(ctx, "detached a cluster with the webhook still in it", "cluster", cluster.ID, "error", err)
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.New("the cluster did not answer in time")
	}
	going.Status, going.Ended, going.Error = model.ClusterFailed, s.c.Now().UTC(), brief(err.Error())
	if _, putErr := s.c.Store.Put(ctx, going, rev); putErr != nil {
		s.c.Log.WarnContext(ctx, "could not write down that a cluster stays", "cluster", cluster.ID, "error", putErr)
	}
	return fail(conflict, "The webhook could not be removed from the cluster '%s': %s. Pods that ask for it could not start any more. "+
		"Repeat this when the cluster is in reach, or leave it there with 'lanyard cluster detach %s --force'.", cluster.Name, going.Error, cluster.Name)
}

// beginLeaving keeps every replica from working in a cluster that is about to be
// detached; nil when there is nothing of ours in it.
func (s *Server) beginLeaving(ctx context.Context, key string) (*model.ClusterState, int64, error) {
	for range maxRounds {
		view, err := s.c.Store.Fresh(ctx)
		if err != nil {
			return nil, 0, err
		}
		state, rev := s.clusterState(view, key)
		if len(state.Modes) == 0 || s.c.Webhooks == nil {
			return nil, 0, nil
		}
		going := *state
		going.Status, going.Started, going.Ended = model.ClusterDeleting, s.c.Now().UTC(), time.Time{}
		if rev, err = s.c.Store.Put(ctx, &going, rev); !errors.Is(err, store.ErrConflict) {
			return &going, rev, err
		}
	}
	return nil, 0, store.ErrConflict
}

// clearGroup is clearCluster for all clusters of a group that is about to go.
func (s *Server) clearGroup(ctx context.Context, v *store.View, group *store.Entry) error {
	for e := range v.Lookup(model.AllClusters) {
		cluster, ok := e.Value.(*model.Cluster)
		if !ok || !strings.HasPrefix(e.Key, group.Key+"/") {
			continue
		}
		if err := s.clearCluster(ctx, cluster, false); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) rawKubeconfig(cluster *model.Cluster) ([]byte, error) {
	k, err := s.openKubeconfig(cluster)
	if err != nil {
		return nil, err
	}
	return json.Marshal(k)
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
	if out.State.Mode, _, err = c.s.plan(k, state.Endpoint); err != nil && out.State.Error == "" {
		out.State.Error = err.Error()
	}
	return out
}
