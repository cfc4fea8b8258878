package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func threeMembers() *members {
	start := time.Now()
	ms := &members{clock: func() time.Duration { return time.Since(start) }}
	for range 3 {
		ms.all = append(ms.all, &member{client: &clientv3.Client{}})
	}
	return ms
}

func TestAsk(t *testing.T) {
	silent := func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	says := func(word string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return word, err }
	}
	slow := func(word string, d time.Duration) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			select {
			case <-time.After(d):
				return word, nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
	}
	noLeader, denied := says("", rpctypes.ErrNoLeader), rpctypes.ErrPermissionDenied
	for name, c := range map[string]struct {
		do    [3]func(context.Context) (string, error)
		want  string
		err   error
		after time.Duration
		first int // who is asked first the next time
	}{
		"the-first-answers":    {[3]func(context.Context) (string, error){slow("a", hedge/2), silent, silent}, "a", nil, hedge / 2, 0},
		"the-first-is-silent":  {[3]func(context.Context) (string, error){silent, says("b", nil), silent}, "b", nil, hedge, 1},
		"two-are-silent":       {[3]func(context.Context) (string, error){silent, silent, says("c", nil)}, "c", nil, 2 * hedge, 2},
		"the-first-is-slow":    {[3]func(context.Context) (string, error){slow("a", hedge+time.Millisecond), silent, silent}, "a", nil, hedge + time.Millisecond, 0},
		"no-leader-here":       {[3]func(context.Context) (string, error){noLeader, says("b", nil), silent}, "b", nil, 0, 1},
		"it-may-not-be-read":   {[3]func(context.Context) (string, error){says("", denied), says("b", nil), silent}, "", denied, 0, 0},
		"nobody-answers":       {[3]func(context.Context) (string, error){silent, silent, silent}, "", context.DeadlineExceeded, freshTimeout, 0},
		"nobody-has-a-leader":  {[3]func(context.Context) (string, error){noLeader, noLeader, noLeader}, "", rpctypes.ErrNoLeader, freshTimeout, -1},
		"one-and-that-is-late": {[3]func(context.Context) (string, error){noLeader, slow("b", 3*time.Second), noLeader}, "b", nil, 3 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ms := threeMembers()
				ctx, cancel := context.WithTimeout(t.Context(), freshTimeout)
				defer cancel()
				start := time.Now()
				got, err := ask(ctx, ms, hedge, func(ctx context.Context, client *Client) (string, error) {
					for i := range ms.all {
						if ms.all[i].client == client {
							return c.do[i](ctx)
						}
					}
					return "", errors.New("a member of nobody's")
				})
				if got != c.want || !errors.Is(err, c.err) {
					t.Errorf("ask = %q, %v; want %q, %v", got, err, c.want, c.err)
				}
				if took := time.Since(start); took != c.after {
					t.Errorf("it took %v, want %v", took, c.after)
				}
				if first := ms.order()[0]; c.first >= 0 && first != ms.all[c.first] {
					t.Errorf("the next is not asked first of member %d", c.first)
				}
			})
		})
	}
}

// Who kept us waiting is asked last, for a while.
func TestOrderOfMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms := threeMembers()
		order := func() (s string) {
			for _, m := range ms.order() {
				for i := range ms.all {
					if ms.all[i] == m {
						s += fmt.Sprint(i)
					}
				}
			}
			return s
		}
		ms.prefer(ms.all[1])
		ms.leaveOut(ms.all[1])
		if got := order(); got != "201" {
			t.Errorf("order %s, want 201", got)
		}
		time.Sleep(leftOut)
		if got := order(); got != "120" {
			t.Errorf("later: order %s, want 120", got)
		}
	})
}

// Only what etcd surely did not do may be sent again.
func TestUnsent(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{rpctypes.ErrNoLeader, true},
		{rpctypes.ErrTooManyRequests, true},
		{errors.New("rpc error: code = Unknown desc = raft proposal dropped"), true},
		{rpctypes.ErrTimeout, false},
		{rpctypes.ErrTimeoutDueToLeaderFail, false},
		{rpctypes.ErrTimeoutDueToConnectionLost, false},
		{rpctypes.ErrLeaderChanged, false},
		{rpctypes.ErrStopped, false},
		{rpctypes.ErrNoSpace, false},
		{rpctypes.ErrUnhealthy, false},
		{context.DeadlineExceeded, false},
		{context.Canceled, false},
		{errors.New("transport is closing"), false},
	} {
		if got := unsent(c.err); got != c.want {
			t.Errorf("unsent(%v) = %t, want %t", c.err, got, c.want)
		}
	}
}

// Of watches that stand still one after the other, each gets more time.
func TestWatchThatStandsStill(t *testing.T) {
	var w watching
	now := time.Hour
	for i, c := range []struct {
		pause, waited time.Duration
		want          bool
	}{
		{0, hedge - 1, false}, {0, hedge, true},
		{0, 2*hedge - 1, false}, {0, 2 * hedge, true},
		{0, 3 * hedge, false}, {0, 4 * hedge, true},
		{2 * calmAfter, hedge - 1, false}, {0, hedge, true},
	} {
		now += c.pause
		ctx, stop := context.WithCancelCause(t.Context())
		w.begin(now, stop)
		w.move(now-time.Minute, now+c.waited)
		if got := errors.Is(context.Cause(ctx), errMove); got != c.want {
			t.Errorf("%d: moved after %v = %t, want %t", i, c.waited, got, c.want)
		}
		stop(nil)
	}
}

// etcd that is back is found within two seconds, however long it was away.
func TestConnectionPauses(t *testing.T) {
	p := connectParams()
	longest := time.Duration(float64(p.Backoff.MaxDelay) * (1 + p.Backoff.Jitter))
	if longest > time.Second || p.MinConnectTimeout > 2*time.Second || p.MinConnectTimeout < time.Second {
		t.Errorf("pauses of up to %v, connections of up to %v", longest, p.MinConnectTimeout)
	}
}
