package signin

import (
	"context"
	"errors"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Lock-out: after maxFailures each further failure locks for longer. It is not
// extended by attempts while it lasts, so nobody can keep a user out for good.
const (
	maxFailures = 10
	lockFirst   = time.Minute
	lockLongest = time.Hour
	forgetAfter = 24 * time.Hour // without a failure
	// unknownCounters is how many counters unknown names share. They exist only so
	// that a try at one takes as long as others.
	unknownCounters = 64
	countTries      = 5
)

// unknownOwner is the counter of a name that nobody has.
func unknownOwner(name string) string {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(name)))
	return "unknown-" + strconv.Itoa(int(h.Sum32()%unknownCounters))
}

// count notes an attempt as failed; a success takes that back. locked is the end of a lock
// that it met. Attempts are counted one at a time, so only another replica can be faster.
func (p *People) count(ctx context.Context, owner string) (locked time.Time, err error) {
	select {
	case p.counting <- struct{}{}:
		defer func() { <-p.counting }()
	case <-ctx.Done():
		return time.Time{}, apierr.Wrap(ctx.Err(), apierr.Timeout, "The request waited too long for its turn. Try again.")
	}
	for range countTries {
		view, err := p.store.Fresh(ctx)
		if err != nil {
			return time.Time{}, err
		}
		old, rev, ok := store.Get[*model.SignIns](view, model.SignInsKey(owner))
		next := model.SignIns{Owner: owner}
		if ok {
			next = *old
		}
		locked := addFailure(&next, p.now().UTC())
		if _, err = p.store.Put(ctx, &next, rev); !errors.Is(err, store.ErrConflict) {
			return locked, err
		}
	}
	return time.Time{}, apierr.New(apierr.Throttled, "Too many sign-ins of this user at once. Try again.")
}

// lockedUntil is when a user's lock ends; zero without one.
func lockedUntil(view *store.View, userID string, now time.Time) time.Time {
	if c, _, ok := store.Get[*model.SignIns](view, model.SignInsKey(userID)); ok && now.Before(c.Locked) {
		return c.Locked
	}
	return time.Time{}
}

// addFailure counts one more, and says until when the account was locked already.
func addFailure(c *model.SignIns, now time.Time) time.Time {
	if now.Before(c.Locked) {
		c.Refused++
		return c.Locked
	}
	if now.Sub(c.Last) > forgetAfter {
		c.Failures = 0
	}
	c.Failures++
	c.Last, c.Locked = now, time.Time{}
	if over := c.Failures - maxFailures; over >= 0 {
		c.Locked = now.Add(min(lockLongest, lockFirst<<min(over, 10)))
	}
	return time.Time{}
}
