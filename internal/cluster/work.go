package arm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/egress"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Webhooks puts the admission webhook into attached clusters. Its errors are
// for who may read the cluster: no credential is in them.
type Webhooks interface {
	// Plan is the mode that the cluster's settings come to, and a digest of all
	// that Install would put there: when it changes, Install is due. It is empty
	// when nothing would be. An error says which setting is missing.
	Plan(c *model.Cluster, endpoint string) (mode model.WebhookMode, digest string, err error)
	// Install puts it there, and waits until the webhook has changed a pod in a
	// dry run. The note says what a person should know besides.
	Install(ctx context.Context, kubeconfig []byte, c *model.Cluster, endpoint string) (note string, err error)
	// Check has the webhook change a pod in a dry run.
	Check(ctx context.Context, kubeconfig []byte, c *model.Cluster, endpoint string) error
	// Remove takes away what Install put there in a mode, and leaves what the
	// mode keep needs and what others own.
	Remove(ctx context.Context, kubeconfig []byte, mode, keep model.WebhookMode) error
}

const (
	// workTimeout bounds one try to bring a cluster to its wanted state.
	workTimeout = 5 * time.Minute
	// removalTimeout bounds the same when a cluster is detached, within a request.
	removalTimeout = 20 * time.Second
	// webhookStamp is how often an unchanged state is written again, as a sign
	// that the webhook answers.
	webhookStamp = 5 * time.Minute
	// leavingPoll is how often a replica that works in a cluster asks whether
	// another is detaching it, and lastRequest is how long what it had asked the
	// cluster for until then may take.
	leavingPoll = 200 * time.Millisecond
	lastRequest = time.Second
	// maxWorks is in how many clusters work is done at a time.
	maxWorks = 8
)

// works is the work that this process does in clusters, one at a time in each.
// Another replica may do the same at the same time: applying twice is as good
// as once, and the state is written by compare-and-swap. One that detaches the
// cluster makes the others stop, and removes once more what they were about to do.
type works struct {
	queue chan string // keys of clusters

	mu   sync.Mutex
	jobs map[string]*job // guarded by mu
}

type job struct {
	done  chan struct{}      // closed when nothing is left to do
	again bool               // guarded by works.mu: something changed since it began
	stop  context.CancelFunc // guarded by works.mu: nil while it waits
}

func newWorks() *works {
	return &works{queue: make(chan string, 1024), jobs: map[string]*job{}}
}

// kick asks for work in a cluster. The result is closed when it is done.
func (w *works) kick(key string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[key]; j != nil {
		j.again = true
		return j.done
	}
	j := &job{done: make(chan struct{})}
	select {
	case w.queue <- key:
		w.jobs[key] = j
	default: // too much to do: the next tick asks again
	}
	return j.done
}

// begin starts one round of a job; it says no when none is left.
func (w *works) begin(key string, stop context.CancelFunc, first bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[key]
	if !first && !j.again {
		delete(w.jobs, key)
		close(j.done)
		return false
	}
	j.again, j.stop = false, stop
	return true
}

// alone runs f once nobody else in this process works in the cluster, and
// interrupts who does.
func (w *works) alone(ctx context.Context, key string, f func() error) error {
	mine := &job{done: make(chan struct{})}
	for {
		w.mu.Lock()
		j := w.jobs[key]
		if j == nil {
			w.jobs[key] = mine
			w.mu.Unlock()
			break
		}
		j.again = false
		if j.stop != nil {
			j.stop()
		}
		w.mu.Unlock()
		select {
		case <-j.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.jobs, key)
		close(mine.done)
	}()
	return f()
}

// runWorks does what is asked for until ctx ends, and looks at every cluster
// each minute.
func (s *Server) runWorks(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(maxWorks)
	defer g.Wait()
	tick := time.NewTicker(clusterPoll)
	defer tick.Stop()
	s.kickAll()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.kickAll()
		case key := <-s.works.queue:
			g.Go(func() error { s.work(ctx, key); return nil })
		}
	}
}

func (s *Server) kickAll() {
	view, err := s.c.Store.View()
	if err != nil {
		return // nothing can be written either
	}
	for e := range view.Lookup(model.AllClusters) {
		s.works.kick(e.Key)
	}
}

func (s *Server) work(ctx context.Context, key string) {
	for first := true; ; first = false {
		ctx, stop := context.WithTimeout(ctx, workTimeout)
		if !s.works.begin(key, stop, first) {
			stop()
			return
		}
		if err := s.reconcile(ctx, key); err != nil && !errors.Is(err, context.Canceled) {
			s.c.Log.WarnContext(ctx, "could not bring a cluster to its wanted state", "cluster", key, "error", err)
		}
		stop()
	}
}

// maxRounds is how often reconcile starts over because the state was changed.
const maxRounds = 5

// reconcile brings what is in a cluster to what is wanted, and writes down how
// that went.
func (s *Server) reconcile(ctx context.Context, key string) error {
	for range maxRounds {
		err := s.reconcileOnce(ctx, key)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil // somebody else is at it
}

func (s *Server) reconcileOnce(ctx context.Context, key string) error {
	view, err := s.c.Store.Fresh(ctx)
	if err != nil {
		return err
	}
	cluster, _, ok := store.Get[*model.Cluster](view, key)
	if !ok {
		return nil
	}
	state, rev := s.clusterState(view, key)
	if rev == 0 && !cluster.WorkloadIdentity || s.leaving(state) {
		return nil
	}
	next := *state
	workErr := s.install(ctx, cluster, &next, &rev)
	if errors.Is(workErr, store.ErrConflict) || errors.Is(ctx.Err(), context.Canceled) {
		return workErr
	}
	next.Error = ""
	if workErr != nil {
		next.Error = brief(workErr.Error())
	}
	if next.Ended.IsZero() || workErr == nil && next.Status == model.ClusterFailed {
		next.Ended, next.Status = s.c.Now().UTC(), model.ClusterSucceeded
		if workErr != nil {
			next.Status = model.ClusterFailed
		}
	}
	if rev == 0 && len(next.Modes) == 0 && next.Error == "" || sameState(state, &next) {
		return workErr
	}
	_, err = s.c.Store.Put(context.WithoutCancel(ctx), &next, rev) // how it went is written when its time is over, too
	return errors.Join(workErr, err)
}

// maxWords is how many bytes of a cluster's words are kept.
const maxWords = 2048

// brief makes words of a cluster fit to keep and to show: its API server may say
// whatever it likes.
func brief(s string) string { return egress.Printable(s, maxWords) }

// sameState says whether writing b in a's place would tell nobody anything.
func sameState(a, b *model.ClusterState) bool {
	return a.Status == b.Status && a.Error == b.Error && a.Note == b.Note && a.Installed == b.Installed &&
		slices.Equal(a.Modes, b.Modes) && a.Ended.Equal(b.Ended) && b.Answered.Sub(a.Answered) < webhookStamp
}

// install does what is to be done in the cluster. next becomes what is true
// then, rev the revision of what is stored of it.
func (s *Server) install(ctx context.Context, cluster *model.Cluster, next *model.ClusterState, rev *int64) error {
	mode, digest, err := s.plan(cluster, next.Endpoint)
	if err != nil {
		return err
	}
	if digest == "" && len(next.Modes) == 0 {
		next.Note = ""
		return nil
	}
	kubeconfig, err := s.rawKubeconfig(cluster)
	if err != nil {
		return err
	}
	if digest == "" {
		return s.uninstall(ctx, kubeconfig, next, model.WebhookNone)
	}
	if next.Installed == digest && s.c.Webhooks.Check(ctx, kubeconfig, cluster, next.Endpoint) == nil {
		next.Answered = s.c.Now().UTC()
		return nil
	}
	if len(next.Modes) == 0 || next.Modes[0] != mode { // what may be there is known before it is
		next.Modes = append([]model.WebhookMode{mode}, slices.DeleteFunc(slices.Clone(next.Modes), func(m model.WebhookMode) bool { return m == mode })...)
		next.Installed = ""
		if *rev, err = s.c.Store.Put(ctx, next, *rev); err != nil {
			return err
		}
	}
	note, err := s.whileAttached(ctx, cluster.Key(), func(ctx context.Context) (string, error) {
		return s.c.Webhooks.Install(ctx, kubeconfig, cluster, next.Endpoint)
	})
	if note != "" {
		next.Note = brief(note)
	}
	if err != nil {
		return err
	}
	next.Installed, next.Answered = digest, s.c.Now().UTC()
	return s.uninstall(ctx, kubeconfig, next, mode)
}

// whileAttached runs f, and ends its context when some replica begins to detach
// the cluster, or when that cannot be known: what is put into the cluster then
// would stay there, and nobody could take it out. It is ErrConflict then.
func (s *Server) whileAttached(ctx context.Context, key string, f func(context.Context) (string, error)) (note string, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		tick := time.NewTicker(leavingPoll)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if view, err := s.c.Store.Fresh(ctx); err != nil {
				stop(fmt.Errorf("asking whether the cluster is being detached: %w", err))
			} else if state, _ := s.clusterState(view, key); s.leaving(state) || view.Get(key) == nil {
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
func (s *Server) uninstall(ctx context.Context, kubeconfig []byte, next *model.ClusterState, keep model.WebhookMode) error {
	for i := len(next.Modes) - 1; i >= 0; i-- {
		if next.Modes[i] == keep {
			continue
		}
		if err := s.c.Webhooks.Remove(ctx, kubeconfig, next.Modes[i], keep); err != nil {
			return err
		}
		next.Modes = slices.Delete(slices.Clone(next.Modes), i, i+1)
	}
	if len(next.Modes) == 0 {
		next.Installed, next.Note, next.Answered = "", "", time.Time{}
	}
	return nil
}

// plan is Webhooks.Plan for a cluster that may not want any.
func (s *Server) plan(cluster *model.Cluster, endpoint string) (model.WebhookMode, string, error) {
	if s.c.Webhooks == nil || !cluster.WorkloadIdentity {
		return model.WebhookNone, "", nil
	}
	return s.c.Webhooks.Plan(cluster, endpoint)
}

// clusterState is the state of a cluster; one that was never stored is new, and
// its revision is 0.
func (s *Server) clusterState(v *store.View, key string) (*model.ClusterState, int64) {
	if state, rev, ok := store.Get[*model.ClusterState](v, model.ClusterStateKey(key)); ok {
		return state, rev
	}
	return &model.ClusterState{Cluster: key, Endpoint: rand.Text(), Status: model.ClusterSucceeded, Ended: s.c.Now().UTC()}, 0
}

// leaving says whether some replica is detaching the cluster. One that stopped
// half way does so no longer.
func (s *Server) leaving(state *model.ClusterState) bool {
	return state.Status == model.ClusterDeleting && s.c.Now().Sub(state.Started) < workTimeout
}
