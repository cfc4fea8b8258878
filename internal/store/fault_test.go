package store_test

import (
	"context"
	"sync"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/store"
)

// faulty is a client of a real etcd whose network can be made to fail.
type faulty struct {
	clientv3.KV
	clientv3.Watcher
	client *store.Client

	getFails   atomic.Pointer[error]
	lostWrite  atomic.Pointer[error] // the write does not arrive
	lostAnswer atomic.Pointer[error] // the write arrives, its answer does not
	writes     atomic.Int64          // how many began
	hold       atomic.Pointer[chan struct{}]
	mu         sync.Mutex
	cut        func()        // ends the running watches; guarded by mu
	gate       chan struct{} // closed while watches may run; guarded by mu
}

func newFaulty(etcd *store.Client) *faulty {
	f := &faulty{KV: etcd.KV, Watcher: etcd.Watcher, client: clientv3.NewCtxClient(etcd.Ctx()), cut: func() {}}
	f.gate = make(chan struct{})
	close(f.gate)
	f.client.KV, f.client.Watcher = f, f
	return f
}

func (f *faulty) Close() error { return nil }

func (f *faulty) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if err := f.getFails.Load(); err != nil {
		return nil, *err
	}
	return f.KV.Get(ctx, key, opts...)
}

func (f *faulty) Txn(ctx context.Context) clientv3.Txn { return &faultyTxn{f.KV.Txn(ctx), f} }

type faultyTxn struct {
	clientv3.Txn
	f *faulty
}

func (t *faultyTxn) If(c ...clientv3.Cmp) clientv3.Txn  { t.Txn = t.Txn.If(c...); return t }
func (t *faultyTxn) Then(o ...clientv3.Op) clientv3.Txn { t.Txn = t.Txn.Then(o...); return t }

func (t *faultyTxn) Commit() (*clientv3.TxnResponse, error) {
	t.f.writes.Add(1)
	if hold := t.f.hold.Load(); hold != nil {
		<-*hold
	}
	if err := t.f.lostWrite.Load(); err != nil {
		return nil, *err
	}
	resp, err := t.Txn.Commit()
	if lost := t.f.lostAnswer.Load(); lost != nil {
		return nil, *lost
	}
	return resp, err
}

// Watch waits behind the gate, and ends when it is cut.
func (f *faulty) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	ctx, cancel := context.WithCancel(ctx)
	f.mu.Lock()
	gate := f.gate
	f.cut = cancel
	f.mu.Unlock()
	select {
	case <-gate:
		return f.Watcher.Watch(ctx, key, opts...)
	case <-ctx.Done():
		ended := make(chan clientv3.WatchResponse)
		close(ended)
		return ended
	}
}

// cutWatch ends the watch and keeps it from starting again until the returned func is called.
func (f *faulty) cutWatch() (mend func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := make(chan struct{})
	f.gate = gate
	f.cut()
	return func() { close(gate) }
}
