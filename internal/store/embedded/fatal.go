package embedded

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap/zapcore"
)

// fatal is a failure after which etcd cannot go on. Left to itself, it would end the
// process, in any goroutine, without a word or with the stacks of all of them.
type fatal struct {
	once sync.Once
	done chan struct{}
	err  error // set before done is closed
}

func newFatal() *fatal { return &fatal{done: make(chan struct{})} }

func (f *fatal) fail(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.done)
	})
}

func (f *fatal) failed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// OnWrite implements zapcore.CheckWriteHook, in place of an exit or a panic: it
// ends the goroutine, as etcd counts on not going on from there.
func (f *fatal) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := errors.New(e.Message)
	for _, field := range fields {
		if cause, ok := field.Interface.(error); ok && field.Type == zapcore.ErrorType {
			err = fmt.Errorf("%s: %w", e.Message, cause)
		}
	}
	f.fail(err)
	runtime.Goexit()
}

// startEtcd is embed.StartEtcd with panics and fatal errors as errors. A damaged file
// may make it panic.
func (s *Server) startEtcd(cfg *embed.Config) <-chan error {
	done := make(chan error, 1)
	go func() {
		var err error
		finished := false
		defer func() {
			if r := recover(); r != nil {
				s.fatal.fail(fmt.Errorf("%v", r))
			}
			if !finished {
				<-s.fatal.done
				err = s.fatal.err
			}
			done <- err
		}()
		debug.SetPanicOnFault(true)
		s.etcd, err = embed.StartEtcd(cfg)
		finished = true
	}()
	return done
}

// closeTimeout bounds the end of an etcd that failed: it may wait for ever.
const closeTimeout = 3 * time.Second

func (s *Server) stopEtcd() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.etcd.Close()
	}()
	if !s.fatal.failed() {
		select {
		case <-done:
			return
		case <-s.fatal.done:
		}
	}
	select {
	case <-done:
	case <-time.After(closeTimeout):
	}
}

// explain says the meaning of a failure of etcd, and the way out.
func (s *Server) explain(err error) error {
	text := err.Error()
	is := func(no syscall.Errno) bool { return errors.Is(err, no) || strings.Contains(text, no.Error()) }
	switch {
	case is(syscall.ENOSPC):
		return fmt.Errorf("the disk of %s is full: make room, then start again: %w", s.dir, err)
	case is(syscall.EMFILE), strings.Contains(text, "file descriptor limit"):
		return fmt.Errorf("the process may not open enough files: raise the limit (ulimit -n) to 1024 or more: %w", err)
	case is(syscall.EROFS), is(syscall.EACCES), is(syscall.EPERM):
		return fmt.Errorf("the store in %s cannot be written: start as the user who owns it, or use another data directory: %w", s.dir, err)
	case is(syscall.EIO):
		return fmt.Errorf("the disk of %s fails: %w", s.dir, err)
	}
	for _, word := range []string{"wal", "crc", "snap", "database", "corrupt", "mmap", "page", "freelist", "bucket", "index", "slice", "memory address", "magic", "checksum", "unmarshal", "EOF", "proto"} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
			return fmt.Errorf("the store in %s is damaged: bring a snapshot back into a new data directory with `lanyard store restore`: %w", s.dir, err)
		}
	}
	return fmt.Errorf("starting etcd: %w", err)
}
