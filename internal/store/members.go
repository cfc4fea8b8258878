package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

const (
	// hedge is the time after which another member is asked too.
	hedge = 200 * time.Millisecond
	// pageHedge is the same for a page of a list, which takes long by its size.
	pageHedge = 5 * time.Second
	// askPause is between two attempts when every member has said no.
	askPause = 50 * time.Millisecond
	// leftOut is the time for which a member that kept us waiting is asked last.
	leftOut = 5 * time.Second
)

// member is one etcd that can be asked alone.
type member struct {
	client *Client
	conn   *grpc.ClientConn // nil for an etcd in the process
	out    atomic.Int64     // until then it is asked last; a time of members.clock
}

// members are those of an external etcd, each with a connection of its own, so
// that one that hangs takes nothing from the others.
type members struct {
	local bool // etcd runs in the process: there is one, and no network before it
	all   []*member
	first atomic.Int32 // index of the one that is asked first
	clock func() time.Duration
}

// newMembers makes a connection to each of the client's endpoints. They end when
// the client is closed. A client without endpoints is the only member itself.
func newMembers(client *Client, clock func() time.Duration) (*members, error) {
	ms := &members{clock: clock}
	for _, endpoint := range client.Endpoints() {
		conn, err := client.Dial(endpoint)
		if err != nil {
			return nil, fmt.Errorf("connecting to etcd at %s: %w", endpoint, err)
		}
		context.AfterFunc(client.Ctx(), func() { _ = conn.Close() })
		conn.Connect()
		c := clientv3.NewCtxClient(client.Ctx())
		c.KV = clientv3.NewKVFromKVClient(etcdserverpb.NewKVClient(conn), client)
		c.Watcher = clientv3.NewWatchFromWatchClient(etcdserverpb.NewWatchClient(conn), client)
		c.Maintenance = clientv3.NewMaintenanceFromMaintenanceClient(etcdserverpb.NewMaintenanceClient(conn), client)
		ms.all = append(ms.all, &member{client: c, conn: conn})
	}
	if len(ms.all) == 0 {
		ms.local, ms.all = true, []*member{{client: client}}
	}
	ms.first.Store(rand.Int32N(int32(len(ms.all))))
	return ms, nil
}

// connected reports whether a request would be on its way at once. When not, it
// sees to a connection.
func (m *member) connected() bool {
	if m.conn == nil {
		return true
	}
	m.conn.Connect()
	return m.conn.GetState() == connectivity.Ready
}

// notice ends a watch whose connection ends: etcd's client would wait for the same
// member to come back.
func (m *member) notice(ctx context.Context, stop context.CancelCauseFunc) {
	if m.conn != nil && m.conn.GetState() == connectivity.Ready && m.conn.WaitForStateChange(ctx, connectivity.Ready) {
		stop(errHungUp)
	}
}

// leaveOut has m asked last for a while.
func (ms *members) leaveOut(m *member) { m.out.Store(int64(ms.clock() + leftOut)) }

// order is all members, those that may answer soonest first.
func (ms *members) order() []*member {
	if len(ms.all) == 1 {
		return ms.all
	}
	now := int64(ms.clock())
	var good, out, gone []*member
	for i := range ms.all {
		m := ms.all[(int(ms.first.Load())+i)%len(ms.all)]
		switch {
		case !m.connected():
			gone = append(gone, m)
		case m.out.Load() > now:
			out = append(out, m)
		default:
			good = append(good, m)
		}
	}
	return append(append(good, out...), gone...)
}

// prefer has m asked first from now on.
func (ms *members) prefer(m *member) {
	for i := range ms.all {
		if ms.all[i] == m {
			ms.first.Store(int32(i))
		}
	}
}

// ready is a member that is connected, as soon as there is one.
func (ms *members) ready(ctx context.Context) (*member, error) {
	for {
		if m := ms.order()[0]; m.connected() {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(askPause):
		}
	}
}

type answer[T any] struct {
	from  *member
	value T
	err   error
}

// ask puts a question to one member, and to a further one each time that there
// was no answer for patience, or at once when one could not answer. The first
// answer wins, so do must be a read, whose answer is right whoever gives it.
// Members that could not answer are asked again until ctx ends.
func ask[T any](ctx context.Context, ms *members, patience time.Duration, do func(context.Context, *Client) (T, error)) (value T, err error) {
	if ms.local {
		return do(ctx, ms.all[0].client)
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	queue := ms.order()
	answers := make(chan answer[T], len(queue)) // each member is asked once at a time
	var asked []*member
	next := func() {
		if len(queue) > 0 {
			m := queue[0]
			asked, queue = append(asked, m), queue[1:]
			go func() {
				v, err := do(ctx, m.client)
				answers <- answer[T]{m, v, err}
			}()
		}
	}
	next()
	again := time.NewTimer(patience)
	defer again.Stop()
	for {
		select {
		case a := <-answers:
			if a.err == nil || !elsewhere(a.err) {
				ms.learn(asked, a.from)
				return a.value, a.err
			}
			if err = a.err; ctx.Err() != nil {
				return value, err
			}
			ms.leaveOut(a.from)
			if len(asked) < len(ms.all) {
				next()
				again.Reset(patience)
			} else {
				again.Reset(askPause)
			}
			queue = append(queue, a.from)
		case <-again.C:
			next()
			again.Reset(patience)
		case <-ctx.Done():
			return value, errors.Join(err, ctx.Err())
		}
	}
}

// learn leaves out members that kept us waiting, and prefers the one that did not.
func (ms *members) learn(asked []*member, winner *member) {
	if asked[0] == winner && len(asked) == 1 {
		return
	}
	for _, m := range asked {
		if m == winner {
			break
		}
		ms.leaveOut(m)
	}
	winner.out.Store(0)
	ms.prefer(winner)
}
