package store

import (
	"context"
	"errors"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// group sends the commits that arrive while one is on its way together, in one
// etcd transaction. Each keeps its own conditions and its own outcome; they
// share the round, the disk's sync and the next View.
type group struct {
	mu      sync.Mutex
	sending bool       // guarded by mu, as is all below
	queue   []*pending // oldest first
}

// pending is a commit on its way. The fields below sent are set when that is closed.
type pending struct {
	transaction
	sent chan struct{}

	rev   int64 // etcd's revision after the commit
	holds bool  // its conditions did
	err   error // etcd said neither yes nor no
}

// At most so much goes into one transaction: etcd limits the operations of each
// level and the bytes of a request (128 and 1.5 MiB by default).
const (
	groupCommits = 64
	groupBytes   = 512 << 10
)

// send gives t to etcd, and waits for its outcome or for ctx.
func (s *Store) send(ctx context.Context, t transaction) (rev int64, holds bool, err error) {
	p := &pending{transaction: t, sent: make(chan struct{})}
	if s.group.add(p) {
		go s.sendAll()
	}
	select {
	case <-p.sent:
		return p.rev, p.holds, p.err
	case <-ctx.Done():
		s.group.leave(p)
		return 0, false, writeError(ctx.Err())
	}
}

// add reports whether the caller must see to sending.
func (g *group) add(p *pending) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue = append(g.queue, p)
	first := !g.sending
	g.sending = true
	return first
}

// leave takes p out of the queue, if it has not been taken already.
func (g *group) leave(p *pending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.queue {
		if g.queue[i] == p {
			g.queue = append(g.queue[:i], g.queue[i+1:]...)
			return
		}
	}
}

// next takes commits from the queue that can go together: etcd refuses a transaction
// that writes a key twice, and one of a full store that does not only delete.
// Nothing left means that sending has ended.
func (g *group) next() []*pending {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.sending = false
		return nil
	}
	if len(g.queue) == 1 || g.queue[0].alone() {
		one := g.queue[:1:1]
		g.queue = g.queue[1:]
		return one
	}
	var batch, rest []*pending
	taken, bytes := map[string]bool{}, 0
	for _, p := range g.queue {
		if len(batch) == groupCommits || bytes+p.bytes > groupBytes && len(batch) > 0 || p.alone() || p.touches(taken) || (p.bytes > 0) != (g.queue[0].bytes > 0) {
			rest = append(rest, p)
			continue
		}
		for _, ch := range p.changes {
			taken[ch.key] = true
		}
		batch, bytes = append(batch, p), bytes+p.bytes
	}
	g.queue = rest
	return batch
}

// alone: which keys a deleted tree has is not known here.
func (p *pending) alone() bool {
	for _, ch := range p.changes {
		if ch.tree {
			return true
		}
	}
	return false
}

func (p *pending) touches(taken map[string]bool) bool {
	for _, ch := range p.changes {
		if taken[ch.key] {
			return true
		}
	}
	return false
}

// sendAll sends until the queue is empty: one batch at a time, as long as etcd
// answers. One that is lost on its way may take seconds to say so; after a moment
// the next goes beside it. It is left to etcd in which order they come then, as for
// all commits that are under way at once.
func (s *Store) sendAll() {
	for {
		batch := s.group.next()
		if batch == nil {
			return
		}
		if s.members.local {
			s.deliver(batch)
			continue
		}
		delivered := make(chan struct{})
		go func() {
			defer close(delivered)
			s.deliver(batch)
		}()
		late := time.NewTimer(hedge)
		select {
		case <-delivered:
		case <-late.C:
		}
		late.Stop()
	}
}

// deliver sends a batch and gives each commit its outcome.
func (s *Store) deliver(batch []*pending) {
	err := s.sendBatch(batch)
	if len(batch) > 1 && refused(err) {
		// One of them is not acceptable: the others must not suffer.
		for _, p := range batch {
			p.err = s.sendBatch([]*pending{p})
			close(p.sent)
		}
		return
	}
	for _, p := range batch {
		p.err = err
		close(p.sent)
	}
}

// refused reports whether etcd surely did nothing because of the request itself.
func refused(err error) bool {
	return apierr.KindOf(err) == apierr.TooLarge || code(err) == codes.InvalidArgument
}

// sendBatch makes one transaction of the batch, and publishes what it wrote.
func (s *Store) sendBatch(batch []*pending) error {
	resp, err := s.transact(func(txn clientv3.Txn) clientv3.Txn {
		if len(batch) == 1 {
			return txn.If(batch[0].conditions...).Then(batch[0].writes...)
		}
		parts := make([]clientv3.Op, len(batch))
		for i, p := range batch {
			parts[i] = clientv3.OpTxn(p.conditions, p.writes, nil)
		}
		return txn.Then(parts...)
	})
	if err != nil {
		return err
	}
	var written []change
	for i, p := range batch {
		p.rev, p.holds = resp.Header.Revision, resp.Succeeded
		if len(batch) > 1 {
			part := resp.Responses[i].GetResponseTxn()
			if part == nil {
				return errors.New("etcd did not answer a part of a transaction")
			}
			p.holds = part.Succeeded
		}
		if p.holds {
			written = append(written, p.changes...)
		}
	}
	if len(written) > 0 {
		s.applyOwn(written, resp.Header.Revision)
	}
	return nil
}

// unsentTimeout is the time after which a transaction that no member takes has failed.
const unsentTimeout = 5 * time.Second

// transact has one member carry a transaction out. Another is given it only when
// etcd says that it has done nothing with it: sent twice, it might be written twice.
func (s *Store) transact(build func(clientv3.Txn) clientv3.Txn) (*clientv3.TxnResponse, error) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(context.Background()), commitTimeout)
	defer cancel()
	offer, end := context.WithTimeout(ctx, unsentTimeout)
	defer end()
	for {
		m, err := s.members.ready(offer)
		if err != nil {
			return nil, unsentError(err)
		}
		late := time.AfterFunc(hedge, func() { s.members.leaveOut(m) })
		resp, err := build(m.client.Txn(ctx)).Commit()
		late.Stop()
		switch {
		case err == nil:
			return resp, nil
		case elsewhere(err):
			s.members.leaveOut(m)
		}
		if !unsent(err) {
			return nil, writeError(err)
		}
		select {
		case <-offer.Done():
			return nil, unsentError(err)
		case <-time.After(askPause):
		}
	}
}
