// Package cluster_test runs the built binary against a real Kubernetes: an API
// server for what it alone decides, and a whole node for what a pod sees.
package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// commandLimit is when a command counts as stuck: far more than any needs on a
// slow machine.
const commandLimit = 3 * time.Minute

// audience is what a pod's token for the exchange is made for.
const audience = "api://AzureADTokenExchange"

// issuer of the service accounts' tokens. Nobody can reach it, so all that is
// known of it comes from the API server.
const issuer = "https://issuer.lanyard.test"

// cluster is a Kubernetes that runs until its test ends.
type cluster struct {
	dir string // what ./up made
}

// start brings a cluster up, "api" or "node", with more flags of kube-apiserver.
func start(t *testing.T, profile string, flags ...string) *cluster {
	t.Helper()
	parent := os.Getenv("LANYARD_CLUSTER_DIR")
	if parent == "" {
		cannotRun(t, "LANYARD_CLUSTER_DIR is not set: use test/cluster/run, or make test")
	}
	c := &cluster{dir: filepath.Join(parent, profile)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kubernetes' errors:\n%s", c.errors())
		}
		if out, err := exec.Command("./down", c.dir).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("stopping the cluster: %v\n%s", err, out)
		}
	})
	begun := time.Now()
	cmd := exec.CommandContext(t.Context(), "./up", profile, c.dir)
	cmd.Env = append(os.Environ(), "ISSUER="+issuer, "API_SERVER_FLAGS="+strings.Join(flags, " "))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("starting the cluster: %v\n%s", err, out)
	}
	t.Logf("%5.2fs  the cluster is up", time.Since(begun).Seconds())
	return c
}

// errors is the last of what the cluster's programs complained of.
func (c *cluster) errors() string {
	logs, err := filepath.Glob(filepath.Join(c.dir, "log", "*"))
	if err != nil {
		return err.Error()
	}
	var all strings.Builder
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil {
			return err.Error()
		}
		var lines []string
		for line := range strings.Lines(string(b)) {
			if line[0] == 'E' || line[0] == 'F' || strings.Contains(line, "level=error") {
				lines = append(lines, line)
			}
		}
		for _, line := range lines[max(0, len(lines)-5):] {
			all.WriteString(filepath.Base(name) + ": " + line)
		}
	}
	return all.String()
}

// command is one in the cluster's network.
func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(c.dir, "net"), append([]string{name}, args...)...)
}

// kubectl runs a command that must succeed, and gives its standard output.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return c.kubectlIn(t, "", args...)
}

func (c *cluster) kubectlIn(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, errs, err := c.tryKubectl(t, stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, out, errs)
	}
	return out
}

func (c *cluster) tryKubectl(t *testing.T, stdin string, args ...string) (out, errs string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.dir, "kubectl"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	return output(cmd)
}

func output(cmd *exec.Cmd) (out, errs string, err error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// apply makes the manifests' objects in a namespace.
func (c *cluster) apply(t *testing.T, namespace, manifests string) {
	t.Helper()
	c.kubectlIn(t, manifests, "apply", "-n", namespace, "-f", "-")
}

// wait waits until an object is as kubectl's --for says.
func (c *cluster) wait(t *testing.T, namespace, object, condition string) {
	t.Helper()
	out, errs, err := c.tryKubectl(t, "", "wait", "-n", namespace, object, "--for="+condition, "--timeout=60s")
	if err != nil {
		t.Fatalf("%s is not %s: %v\n%s%s%s", object, condition, err, out, errs,
			c.kubectl(t, "describe", "-n", namespace, object))
	}
}

// namespace makes one, with the service account that pods get. It is not
// removed: the cluster goes before anybody needs the name again.
func (c *cluster) namespace(t *testing.T, name string) string {
	t.Helper()
	c.kubectl(t, "create", "namespace", name)
	_, errs, err := c.tryKubectl(t, "", "create", "serviceaccount", "default", "-n", name)
	if err != nil && !strings.Contains(errs, "already exists") {
		t.Fatalf("making the default service account: %v\n%s", err, errs)
	}
	return name
}

// token asks for one of a service account, for an audience.
func (c *cluster) token(t *testing.T, namespace, account, audience string) string {
	t.Helper()
	return strings.TrimSpace(c.kubectl(t, "create", "token", account, "-n", namespace, "--audience", audience))
}

// addImage gives the node an image, from an OCI archive.
func (c *cluster) addImage(t *testing.T, archive string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(c.dir, "in"), "ctr", "-n", "k8s.io", "images", "import", archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("importing %s: %v\n%s", archive, err, out)
	}
}

// kubeconfig is the admin's.
func (c *cluster) kubeconfig() string { return filepath.Join(c.dir, "pki", "admin.kubeconfig") }

// restart ends one of the cluster's programs, and runs it again.
func (c *cluster) restart(t *testing.T, program string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "./restart", c.dir, program)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("restarting %s: %v\n%s", program, err, out)
	}
}

// eventually waits for what has no way to say when it is done.
func eventually(t *testing.T, what string, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(errors.Join(t.Context().Err(), err))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// cannotRun skips the test, for everybody but CI, which may skip nothing.
func cannotRun(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("*** NOT RUN: " + why)
}
