package cluster

import (
	"context"
	"sync"
)

// queue is the work that this process does in clusters, one at a time in each.
// Another replica may do the same at the same time: applying twice is as good
// as once, and the state is written by compare-and-swap. One that detaches the
// cluster makes the others stop, and removes once more what they were about to do.
type queue struct {
	keys chan string // keys of clusters

	mu   sync.Mutex
	jobs map[string]*job // guarded by mu
}

type job struct {
	done  chan struct{}      // closed when nothing is left to do
	again bool               // guarded by queue.mu: something changed since it began
	stop  context.CancelFunc // guarded by queue.mu: nil while it waits
}

func newQueue() *queue {
	return &queue{keys: make(chan string, 1024), jobs: map[string]*job{}}
}

// add asks for work in a cluster. The result is closed when it is done.
func (q *queue) add(key string) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if j := q.jobs[key]; j != nil {
		j.again = true
		return j.done
	}
	j := &job{done: make(chan struct{})}
	select {
	case q.keys <- key:
		q.jobs[key] = j
	default: // too much to do: the next tick asks again
	}
	return j.done
}

// begin starts one round of a job; it says no when none is left.
func (q *queue) begin(key string, stop context.CancelFunc, first bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	j := q.jobs[key]
	if !first && !j.again {
		delete(q.jobs, key)
		close(j.done)
		return false
	}
	j.again, j.stop = false, stop
	return true
}

// alone runs f once nobody else in this process works in the cluster, and
// interrupts who does.
func (q *queue) alone(ctx context.Context, key string, f func() error) error {
	mine := &job{done: make(chan struct{})}
	for {
		q.mu.Lock()
		j := q.jobs[key]
		if j == nil {
			q.jobs[key] = mine
			q.mu.Unlock()
			break
		}
		j.again = false
		if j.stop != nil {
			j.stop()
		}
		q.mu.Unlock()
		select {
		case <-j.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.jobs, key)
		close(mine.done)
	}()
	return f()
}
