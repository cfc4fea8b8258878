package signing

import (
	"context"
	"errors"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// current is the ring as the store's View has it now. Out of touch with the
// store it fails: another replica may have replaced a key.
func (k *Keys) current() (*ring, error) {
	v, err := k.c.Store.View()
	if err != nil {
		return nil, err
	}
	r, err := k.at(v)
	return r, unavailable(err)
}

// unavailable gives an error of ours the kind that asks the caller to try again.
func unavailable(err error) error {
	if err == nil || apierr.KindOf(err) == apierr.Unavailable {
		return err
	}
	return apierr.Wrap(err, apierr.Unavailable, "the signing keys are not available")
}

// latest is current, or the last known ring when the store is out of touch.
func (k *Keys) latest() *ring {
	if r, err := k.current(); err == nil {
		return r
	}
	return k.ring.Load()
}

// at is the ring as of a View, or a newer one.
func (k *Keys) at(v *store.View) (*ring, error) {
	r := k.ring.Load()
	if r != nil && v.Rev() == k.seen.Load() {
		return r, nil
	}
	e := v.Get(model.SigningKeysKey)
	if e == nil {
		return nil, errors.New("the signing keys are gone from the store: restore a snapshot")
	}
	if r == nil || e.Rev > r.rev {
		var err error
		if r, err = k.load(e, false); err != nil {
			return nil, err
		}
	}
	k.seen.Store(v.Rev())
	return r, nil
}

// load replaces the ring, unless it is as new already and not to be read again.
func (k *Keys) load(e *store.Entry, again bool) (*ring, error) {
	k.loading.Lock()
	defer k.loading.Unlock()
	before := k.ring.Load()
	if before != nil && (e.Rev < before.rev || e.Rev == before.rev && !again) {
		return before, nil
	}
	r, err := k.newRing(e, before)
	if err != nil {
		return nil, err
	}
	k.ring.Store(r)
	return r, nil
}

// unsealAgain tries the keys that could not be unsealed: the sealer may have the data
// key by now.
func (k *Keys) unsealAgain() error {
	r, err := k.current()
	if err != nil || r.fault() == nil {
		return err
	}
	v, err := k.c.Store.View()
	if err != nil {
		return err
	}
	e := v.Get(model.SigningKeysKey)
	if e == nil {
		return nil
	}
	if r, err = k.load(e, true); err != nil {
		return err
	}
	return r.fault()
}

// refresh is one linearizable look at the store, which callers share.
type refresh struct {
	at   time.Time
	done chan struct{}
	err  error // set before done is closed
}

const (
	// refreshEvery limits what unknown key ids can cost the store.
	refreshEvery   = time.Second
	refreshTimeout = 5 * time.Second
)

// refresh makes sure that the ring is not older than a second: the newest keys
// of another replica may not have reached the View yet.
func (k *Keys) refresh() error {
	k.refreshing.Lock()
	f := k.refreshed
	if f != nil && !f.over(k.c.Now()) {
		k.refreshing.Unlock()
		<-f.done
		return f.err
	}
	f = &refresh{at: k.c.Now(), done: make(chan struct{})}
	k.refreshed = f
	k.refreshing.Unlock()

	defer close(f.done)
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	v, err := k.c.Store.Fresh(ctx)
	if err == nil {
		_, err = k.at(v)
	}
	f.err = unavailable(err)
	return f.err
}

// over says whether it is time for another refresh: this one has ended, and its
// second has passed. A clock that was set back must not make it last.
func (f *refresh) over(now time.Time) bool {
	select {
	case <-f.done:
		age := now.Sub(f.at)
		return age < 0 || age >= refreshEvery
	default:
		return false
	}
}
