package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/kube"
)

const (
	// lookEvery is how often the certificate is looked at when nobody says that
	// anything changed.
	lookEvery = time.Minute
	// retryFirst and retryMost are the waits after a failure.
	retryFirst, retryMost = time.Second, 30 * time.Second
	// maxConflicts is how often a replica that lost a race looks again at once.
	maxConflicts = 5
)

// rotator keeps a certificate in a Secret that all replicas share, and its
// authority in the MutatingWebhookConfiguration.
type rotator struct {
	c       Config
	k       *kube.Cluster
	current atomic.Pointer[tls.Certificate]
	changed chan struct{} // wakes run

	mu    sync.Mutex
	ready error // guarded by mu; nil once a request can succeed
}

func newRotator(c Config, k *kube.Cluster) *rotator {
	return &rotator{c: c, k: k, changed: make(chan struct{}, 1), ready: errors.New("not read yet")}
}

// Current is nil until there is one.
func (r *rotator) Current(context.Context) *tls.Certificate { return r.current.Load() }

// Ready says why the certificate is of no use yet. Once it was, it stays so:
// what fails later is tried again, and what is served stays served.
func (r *rotator) Ready(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// Run keeps both objects right until ctx ends.
func (r *rotator) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, ref := range []kube.Ref{r.secretRef(), r.hooksRef()} {
		g.Go(func() error { return r.watch(ctx, ref) })
	}
	g.Go(func() error { r.keep(ctx); return nil })
	return g.Wait()
}

// watch wakes keep. It is not needed for more than speed: keep looks anyway.
func (r *rotator) watch(ctx context.Context, ref kube.Ref) error {
	for ctx.Err() == nil {
		err := r.k.Watch(ctx, ref, func() {
			select {
			case r.changed <- struct{}{}:
			default:
			}
		})
		if err != nil && ctx.Err() == nil {
			r.c.Log.WarnContext(ctx, "cannot watch the certificate's objects", "object", ref.String(), "error", err)
			pause(ctx, retryMost, nil)
		}
	}
	return nil
}

func (r *rotator) keep(ctx context.Context) {
	wait := retryFirst
	for {
		err := r.look(ctx)
		r.note(err)
		next := lookEvery
		if err == nil {
			wait = retryFirst
		} else {
			if ctx.Err() == nil {
				r.c.Log.ErrorContext(ctx, "cannot keep the certificate", "error", err)
			}
			next, wait = wait, min(2*wait, retryMost)
		}
		if !pause(ctx, next, r.changed) {
			return
		}
	}
}

// pause waits, or until woken. It is false when ctx ends.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-wake:
	}
	return true
}

func (r *rotator) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready != nil {
		r.ready = err
	}
}

// look brings everything to what it should be. Losing a race to another replica
// means to look again, at what that one wrote.
func (r *rotator) look(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := r.lookOnce(ctx)
		if err == nil || attempt == maxConflicts || !errors.Is(err, kube.ErrConflict) {
			return err
		}
	}
}

func (r *rotator) lookOnce(ctx context.Context) error {
	s, err := r.readSecret(ctx)
	if err != nil {
		return err
	}
	h, err := r.readHooks(ctx)
	if err != nil {
		return err
	}
	next, why, err := plan(s.data, r.c.names(), h.published, r.c.Now())
	if err != nil {
		return err
	}
	if why != "" {
		if err := r.writeSecret(ctx, s, next); err != nil {
			return err
		}
		r.c.Log.InfoContext(ctx, why, "secret", r.c.Secret)
	}
	if err := r.serve(ctx, next); err != nil {
		return err
	}
	changed, err := r.writeHooks(ctx, h, next[caCert])
	if err != nil {
		return err
	}
	if changed {
		r.c.Log.InfoContext(ctx, "set the authority that the API server trusts", "configuration", r.c.Configuration)
	}
	return nil
}

func (r *rotator) serve(ctx context.Context, k keys) error {
	pair, err := loadLeaf(k)
	if err != nil {
		return err
	}
	old := r.current.Load()
	if old != nil && old.Leaf.Equal(pair.Leaf) {
		return nil
	}
	r.current.Store(pair)
	r.c.Log.InfoContext(ctx, "serving a certificate", "expires", pair.Leaf.NotAfter)
	return nil
}
