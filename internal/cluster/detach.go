package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Detach implements arm.Clusters.
func (a *Attached) Detach(ctx context.Context, cluster *model.Cluster, force bool) error {
	leaving, rev, err := a.beginDetach(ctx, cluster.Key())
	if err != nil || leaving == nil {
		return err
	}
	work, cancel := context.WithTimeout(ctx, removalTimeout)
	defer cancel()
	err = a.queue.alone(work, cluster.Key(), func() error {
		kubeconfig, err := openKubeconfig(a.c.Sealer, cluster)
		if err != nil {
			return err
		}
		was := *leaving
		if err := a.uninstall(work, kubeconfig, leaving, model.WebhookNone); err != nil {
			return err
		}
		select { // until other replicas have heard of it, and their last request has come
		case <-time.After(detachPoll + lastRequest):
		case <-work.Done():
			return work.Err()
		}
		return a.uninstall(work, kubeconfig, &was, model.WebhookNone)
	})
	switch {
	case err == nil:
		return nil
	case force:
		a.c.Log.WarnContext(ctx, "detached a cluster with the webhook still in it", "cluster", cluster.ID, "error", err)
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.New("the cluster did not answer in time")
	}
	leaving.Status, leaving.Ended, leaving.Error = model.ClusterFailed, a.c.Now().UTC(), shorten(err.Error())
	if _, putErr := a.c.Store.Put(ctx, leaving, rev); putErr != nil {
		a.c.Log.WarnContext(ctx, "could not write down that a cluster stays", "cluster", cluster.ID, "error", putErr)
	}
	return apierr.New(apierr.Conflict, "The webhook could not be removed from the cluster '%s': %s. Pods that ask for it could not start any more. "+
		"Repeat this when the cluster is in reach, or leave it there with 'lanyard cluster detach %s --force'.", cluster.Name, leaving.Error, cluster.Name)
}

// beginDetach keeps every replica from working in a cluster that is about to be
// detached; nil when there is nothing of ours in it.
func (a *Attached) beginDetach(ctx context.Context, key string) (leaving *model.ClusterState, rev int64, err error) {
	err = a.change(ctx, func(view *store.View) (err error) {
		var state *model.ClusterState
		if state, rev = a.state(view, key); len(state.Modes) == 0 || a.c.Installer == nil {
			leaving = nil
			return nil
		}
		next := *state
		next.Status, next.Started, next.Ended = model.ClusterDeleting, a.c.Now().UTC(), time.Time{}
		leaving = &next
		rev, err = a.c.Store.Put(ctx, leaving, rev)
		return err
	})
	return leaving, rev, err
}
