package audit

import (
	"context"
	"runtime"
	"sync"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// series is one kind of files, and the batch that goes into them next.
type series struct {
	mu   sync.Mutex
	next *batch // the batch that may be joined; nil when there is none; guarded by mu

	writing sync.Mutex
	files   *files // guarded by writing
}

// batch is the records that one write(2) puts into the file.
type batch struct {
	data *[]byte       // pooled; guarded by series.mu until the batch is taken
	done chan struct{} // closed when err is final
	err  error
}

func (b *batch) wait(ctx context.Context) error {
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-b.done: // both were ready
		return nil
	default:
		return ctx.Err()
	}
}

// append puts a line into the files, with those that come at the same time.
func (s *series) append(ctx context.Context, line []byte) error {
	b, first := s.join(line)
	if first {
		s.commit(b)
	} else if err := b.wait(ctx); err != nil {
		return apierr.Wrap(err, apierr.Unavailable, "the audit log did not answer in time")
	}
	if b.err != nil {
		return apierr.Wrap(b.err, apierr.Unavailable, "the audit log cannot be written")
	}
	return nil
}

// join puts a line into the next batch. Whoever comes first must commit it.
func (s *series) join(line []byte) (b *batch, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = s.next == nil
	if first {
		s.next = &batch{data: buffers.Get().(*[]byte), done: make(chan struct{})}
		*s.next.data = (*s.next.data)[:0]
	}
	*s.next.data = append(*s.next.data, line...)
	return s.next, first
}

// commit writes the batch. While it waits for the one before, others join.
func (s *series) commit(b *batch) {
	s.writing.Lock()
	runtime.Gosched() // who is ready to run may join: fewer, larger writes under load
	s.mu.Lock()
	s.next = nil
	s.mu.Unlock()
	b.err = s.files.write(*b.data)
	s.writing.Unlock()
	release(b.data)
	close(b.done)
}

func (s *series) tend() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.files.tend()
}

func (s *series) close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.files.close()
}

// buffers hold one line, or one batch of them.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// maxPooled keeps a rare large buffer from being held for ever.
const maxPooled = 256 << 10

func release(b *[]byte) {
	if cap(*b) <= maxPooled {
		buffers.Put(b)
	}
}
