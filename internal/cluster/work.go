package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const (
	// workTimeout bounds one try to bring a cluster to its wanted state.
	workTimeout = 5 * time.Minute
	// removalTimeout bounds the same when a cluster is detached, within a request.
	removalTimeout = 20 * time.Second
	// webhookStamp is how often an unchanged state is written again, as a sign
	// that the webhook answers.
	webhookStamp = 5 * time.Minute
	// detachPoll is how often a replica that works in a cluster asks whether
	// another is detaching it. lastRequest is how long the cluster may take for the
	// request that was under way then.
	detachPoll  = 200 * time.Millisecond
	lastRequest = time.Second
)

// Work implements arm.Clusters.
func (a *Attached) Work(ctx context.Context, cluster *model.Cluster) (operation string, done <-chan struct{}, err error) {
	if operation, err = a.beginWork(ctx, cluster); operation == "" {
		return "", nil, err
	}
	return operation, a.queue.add(cluster.Key()), err
}

// beginWork writes down that there is work in a cluster. Earlier work may end at the
// same time and write its state: that refuses no request.
func (a *Attached) beginWork(ctx context.Context, cluster *model.Cluster) (operation string, err error) {
	err = a.change(ctx, func(view *store.View) error {
		operation = ""
		state, rev := a.state(view, cluster.Key())
		_, digest, err := a.plan(cluster, state.Endpoint)
		if err != nil || digest == state.Installed && (digest != "" || len(state.Modes) == 0) && state.Error == "" {
			return err
		}
		working := *state
		if working.Status != model.ClusterUpdating {
			working.Operation = model.NewUUID()
		}
		working.Status, working.Started, working.Ended, working.Error = model.ClusterUpdating, a.c.Now().UTC(), time.Time{}, ""
		operation = working.Operation
		_, err = a.c.Store.Put(ctx, &working, rev)
		return err
	})
	if errors.Is(err, store.ErrConflict) {
		operation = ""
	}
	return operation, err
}

// change makes a change of one commit on what is stored now.
func (a *Attached) change(ctx context.Context, change func(*store.View) error) error {
	view, err := a.c.Store.Fresh(ctx)
	if err != nil {
		return err
	}
	return a.c.Store.Retry(ctx, view, change)
}

// doWork does what is asked for until ctx ends, and looks at every cluster
// each minute.
func (a *Attached) doWork(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(maxParallel)
	defer g.Wait()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	a.addAll()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			a.addAll()
		case key := <-a.queue.keys:
			g.Go(func() error { a.work(ctx, key); return nil })
		}
	}
}

func (a *Attached) addAll() {
	view, err := a.c.Store.View()
	if err != nil {
		return // nothing can be written either
	}
	for e := range view.Lookup(model.AllClusters) {
		a.queue.add(e.Key)
	}
}

func (a *Attached) work(ctx context.Context, key string) {
	for first := true; ; first = false {
		ctx, stop := context.WithTimeout(ctx, workTimeout)
		if !a.queue.begin(key, stop, first) {
			stop()
			return
		}
		if err := a.reconcile(ctx, key); err != nil && !errors.Is(err, context.Canceled) {
			a.c.Log.WarnContext(ctx, "could not bring a cluster to its wanted state", "cluster", key, "error", err)
		}
		stop()
	}
}

// reconcile brings what is in a cluster to what is wanted, and writes down how
// that went.
func (a *Attached) reconcile(ctx context.Context, key string) error {
	err := a.change(ctx, func(view *store.View) error { return a.reconcileOn(ctx, view, key) })
	if errors.Is(err, store.ErrConflict) {
		return nil // somebody else is at it
	}
	return err
}

func (a *Attached) reconcileOn(ctx context.Context, view *store.View, key string) error {
	cluster, _, ok := store.Get[*model.Cluster](view, key)
	if !ok {
		return nil
	}
	state, rev := a.state(view, key)
	if rev == 0 && !cluster.WorkloadIdentity || a.detaching(state) {
		return nil
	}
	next := *state
	workErr := a.install(ctx, cluster, &next, &rev)
	if errors.Is(workErr, store.ErrConflict) || errors.Is(ctx.Err(), context.Canceled) {
		return workErr
	}
	next.Error = ""
	if workErr != nil {
		next.Error = shorten(workErr.Error())
	}
	if next.Ended.IsZero() || workErr == nil && next.Status == model.ClusterFailed {
		next.Ended, next.Status = a.c.Now().UTC(), model.ClusterSucceeded
		if workErr != nil {
			next.Status = model.ClusterFailed
		}
	}
	if rev == 0 && len(next.Modes) == 0 && next.Error == "" || sameState(state, &next) {
		return workErr
	}
	_, err := a.c.Store.Put(context.WithoutCancel(ctx), &next, rev) // the outcome is written even after workTimeout
	return errors.Join(workErr, err)
}

// sameState says whether b tells a reader no more than a.
func sameState(a, b *model.ClusterState) bool {
	return a.Status == b.Status && a.Error == b.Error && a.Note == b.Note && a.Installed == b.Installed &&
		slices.Equal(a.Modes, b.Modes) && a.Ended.Equal(b.Ended) && b.Answered.Sub(a.Answered) < webhookStamp
}

// install does what is to be done in the cluster. next becomes the state that it is in
// then; rev becomes the revision of the stored state.
func (a *Attached) install(ctx context.Context, cluster *model.Cluster, next *model.ClusterState, rev *int64) error {
	mode, digest, err := a.plan(cluster, next.Endpoint)
	if err != nil {
		return err
	}
	if digest == "" && len(next.Modes) == 0 {
		next.Note = ""
		return nil
	}
	kubeconfig, err := openKubeconfig(a.c.Sealer, cluster)
	if err != nil {
		return err
	}
	if digest == "" {
		return a.uninstall(ctx, kubeconfig, next, model.WebhookNone)
	}
	if next.Installed == digest && a.c.Installer.Check(ctx, kubeconfig) == nil {
		next.Answered = a.c.Now().UTC()
		return nil
	}
	if len(next.Modes) == 0 || next.Modes[0] != mode { // it is written down before anything is put there
		next.Modes = append([]model.WebhookMode{mode}, slices.DeleteFunc(slices.Clone(next.Modes), func(m model.WebhookMode) bool { return m == mode })...)
		next.Installed = ""
		if *rev, err = a.c.Store.Put(ctx, next, *rev); err != nil {
			return err
		}
	}
	note, err := a.whileAttached(ctx, cluster.Key(), func(ctx context.Context) (string, error) {
		return a.c.Installer.Install(ctx, kubeconfig, cluster, next.Endpoint)
	})
	if note != "" {
		next.Note = shorten(note)
	}
	if err != nil {
		return err
	}
	next.Installed, next.Answered = digest, a.c.Now().UTC()
	return a.uninstall(ctx, kubeconfig, next, mode)
}

// whileAttached runs f, and ends its context when some replica begins to detach the
// cluster, or when that cannot be known: nobody could take out again what f puts there.
// The error is store.ErrConflict when the cluster is being detached.
func (a *Attached) whileAttached(ctx context.Context, key string, f func(context.Context) (string, error)) (note string, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		tick := time.NewTicker(detachPoll)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if view, err := a.c.Store.Fresh(ctx); err != nil {
				stop(fmt.Errorf("asking whether the cluster is being detached: %w", err))
			} else if state, _ := a.state(view, key); a.detaching(state) || view.Get(key) == nil {
				stop(store.ErrConflict)
			}
		}
	}()
	note, err = f(ctx)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, store.ErrConflict) {
		return note, cause
	}
	return note, err
}

// uninstall takes out of the cluster what modes other than keep put there.
func (a *Attached) uninstall(ctx context.Context, kubeconfig []byte, next *model.ClusterState, keep model.WebhookMode) error {
	for i := len(next.Modes) - 1; i >= 0; i-- {
		if next.Modes[i] == keep {
			continue
		}
		if err := a.c.Installer.Remove(ctx, kubeconfig, next.Modes[i], keep); err != nil {
			return err
		}
		next.Modes = slices.Delete(slices.Clone(next.Modes), i, i+1)
	}
	if len(next.Modes) == 0 {
		next.Installed, next.Note, next.Answered = "", "", time.Time{}
	}
	return nil
}

// plan is Installer.Plan for a cluster that may not want any.
func (a *Attached) plan(cluster *model.Cluster, endpoint string) (model.WebhookMode, string, error) {
	if a.c.Installer == nil || !cluster.WorkloadIdentity {
		return model.WebhookNone, "", nil
	}
	return a.c.Installer.Plan(cluster, endpoint)
}

// Mode implements arm.Clusters.
func (a *Attached) Mode(cluster *model.Cluster) (model.WebhookMode, error) {
	mode, _, err := a.plan(cluster, "")
	return mode, err
}

// state is the state of a cluster; one that was never stored is new, and its
// revision is 0.
func (a *Attached) state(v *store.View, key string) (*model.ClusterState, int64) {
	if state, rev, ok := store.Get[*model.ClusterState](v, model.ClusterStateKey(key)); ok {
		return state, rev
	}
	return model.NewClusterState(key, a.c.Now()), 0
}

// detaching says whether some replica is detaching the cluster. A replica that stopped
// half way is no longer believed after workTimeout.
func (a *Attached) detaching(state *model.ClusterState) bool {
	return state.Status == model.ClusterDeleting && a.c.Now().Sub(state.Started) < workTimeout
}
