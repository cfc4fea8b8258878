package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tokenFile prints what the webhook adds to each pod of a list or a stream.
const tokenFile = `{.spec.containers[0].env[?(@.name=="AZURE_FEDERATED_TOKEN_FILE")].value}`

// tries are pods that are tried in dry runs, one after another.
type tries struct {
	end    func()
	result chan error
	n      int // read after the result
}

// keepTrying tries pods that ask for an identity until it is told to stop.
func (c *cluster) keepTrying(t *testing.T, namespace string) *tries {
	t.Helper()
	ended := make(chan struct{})
	p := &tries{end: sync.OnceFunc(func() { close(ended) }), result: make(chan error, 1)}
	go func() {
		var faults []error
		for {
			select {
			case <-ended:
				p.result <- errors.Join(faults...)
				return
			default:
			}
			const n = 20
			p.n += n
			if err := c.tryPods(t, namespace, n); err != nil {
				faults = append(faults, fmt.Errorf("until %s: %w", time.Now().Format(time.TimeOnly), err))
			}
		}
	}()
	t.Cleanup(p.end)
	return p
}

// stop ends the tries: each pod must have been let in, with its token.
func (p *tries) stop(t *testing.T) {
	t.Helper()
	p.end()
	if err := <-p.result; err != nil {
		t.Errorf("of %d pods that were tried: %v", p.n, err)
	}
	t.Logf("%d pods were tried meanwhile", p.n)
}

func (c *cluster) tryPod(t *testing.T, namespace string) error { return c.tryPods(t, namespace, 1) }

func (c *cluster) tryPods(t *testing.T, namespace string, n int) error {
	out, errs, err := c.tryKubectl(t, unscheduled(n), "create", "-n", namespace, "--dry-run=server", "-f", "-",
		"-o", "jsonpath="+tokenFile+"{'\\n'}")
	if err != nil {
		refused := slices.DeleteFunc(strings.Split(errs, "\n"), func(line string) bool { return strings.HasPrefix(line, "Warning:") })
		return fmt.Errorf("%w: %s", err, strings.Join(slices.Compact(refused), "\n"))
	}
	if got := strings.Count(out, "/var/run/secrets/azure/"); got != n {
		return fmt.Errorf("%d of %d pods are injected", got, n)
	}
	return nil
}

// injected counts a namespace's pods, and those of them that have their token.
func (c *cluster) injected(t *testing.T, namespace string) (pods, injected int) {
	t.Helper()
	out := c.kubectl(t, "get", "pods", "-n", namespace, "-o", `jsonpath={range .items[*]}pod `+tokenFile+`{"\n"}{end}`)
	return strings.Count(out, "pod "), strings.Count(out, "/var/run/secrets/azure/")
}

// awaitPods waits until a namespace has so many, each with its token.
func (c *cluster) awaitPods(t *testing.T, namespace string, n int) {
	t.Helper()
	eventually(t, "all pods are made", 2*time.Minute, func() error {
		pods, injected := c.injected(t, namespace)
		if pods != injected {
			t.Fatalf("%d of %d pods are injected", injected, pods)
		}
		if pods != n {
			return fmt.Errorf("%d pods, want %d", pods, n)
		}
		return nil
	})
}
