package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// hookProcess is a running lanyard webhook.
type hookProcess struct {
	cmd    *exec.Cmd
	health string
	began  time.Time

	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

// startWebhook runs the built program until stop; it need not be ready yet.
func (c *cluster) startWebhook(ctx context.Context, listen, health string, args ...string) (*hookProcess, error) {
	w := &hookProcess{health: "http://" + health}
	w.cmd = exec.CommandContext(ctx, c.binary, append([]string{"webhook", "--kubeconfig", c.kubeconfig(), "--listen", listen,
		"--health-addr", health, "--metrics-addr", "off", "--authority-host", "https://login.lanyard.localhost/", "--tenant-id", "adfs"}, args...)...)
	w.cmd.Env = append(os.Environ(), "POD_NAMESPACE="+webhookNamespace)
	stderr, err := w.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	w.began = time.Now()
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			w.mu.Lock()
			if w.log.Len() < 64<<10 {
				w.log.WriteString(lines.Text() + "\n")
			}
			w.mu.Unlock()
		}
	}()
	return w, nil
}

// ready waits until the webhook says so, and gives the time since its start.
func (w *hookProcess) ready(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		_, err := request{method: "GET", url: w.health + "/readyz"}.send(ctx, http.DefaultClient)
		if err == nil {
			return time.Since(w.began), nil
		}
		select {
		case <-ctx.Done():
			w.mu.Lock()
			defer w.mu.Unlock()
			return 0, fmt.Errorf("the webhook is not ready: %w\n%s", err, w.log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (w *hookProcess) stop() error {
	err := w.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, w.cmd.Wait())
}

// memory is what the process has now, and the most that it ever had.
func (w *hookProcess) memory() (now, peak int64, err error) {
	pid := w.cmd.Process.Pid
	now, err = processMemory(pid, "VmRSS")
	if err == nil {
		peak, err = processMemory(pid, "VmHWM")
	}
	return now, peak, err
}

// freePorts are loopback addresses that nobody listens on at the moment.
func freePorts(n int) ([]string, error) {
	var all []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // all at once, so that they differ
		all = append(all, ln.Addr().String())
	}
	return all, nil
}
