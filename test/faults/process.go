package main

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// spawner starts processes that end with this one. The kernel ties that promise to
// the thread which started them, so one thread starts them all and never ends.
// https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
type spawner struct{ work chan func() }

func newSpawner() *spawner {
	s := &spawner{make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range s.work {
			f()
		}
	}()
	return s
}

// proc is one process, in a process group of its own.
type proc struct {
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when it has ended
	err  error         // set before done is closed
}

func (s *spawner) start(cmd *exec.Cmd) (*proc, error) {
	p := &proc{cmd: cmd, out: newOutput(), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	s.work <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *proc) signal(sig syscall.Signal) {
	if p != nil && !p.ended() {
		syscall.Kill(-p.cmd.Process.Pid, sig)
	}
}

func (p *proc) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the process as a power failure does, and waits.
func (p *proc) kill() {
	if p == nil {
		return
	}
	p.signal(syscall.SIGKILL)
	<-p.done
}

// wait gives how the process ended, or an error when it does not within limit.
func (p *proc) wait(limit time.Duration) error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(limit):
		return fmt.Errorf("still running after %s", limit)
	}
}

// waitFor waits until the process has written text.
func (p *proc) waitFor(text string, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		if strings.Contains(p.out.String(), text) {
			return nil
		}
		if p.ended() {
			return errors.Join(errors.New("it ended before it said "+text), p.err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return fmt.Errorf("it did not say %q within %s", text, limit)
}

// mostOutput is how much of a process's first and of its last words is kept, each.
const mostOutput = 64 << 10

type output struct {
	mu         sync.Mutex
	head, tail []byte // guarded by mu
}

func newOutput() *output { return &output{} }

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(b), mostOutput-len(o.head))
	o.head = append(o.head, b[:n]...)
	o.tail = append(o.tail, b[n:]...)
	if len(o.tail) > 2*mostOutput {
		o.tail = append([]byte(nil), o.tail[len(o.tail)-mostOutput:]...)
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.head) + string(o.tail)
}

// stackTrace says whether a process wrote one: a fault is told in a sentence.
func stackTrace(text string) bool {
	return strings.Contains(text, "goroutine ") || strings.Contains(text, "panic: ")
}

// lastLine is the last thing that a process said, for a report.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
