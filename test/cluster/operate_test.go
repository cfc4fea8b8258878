package cluster_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testOperate does with a Lanyard in the cluster what docs/OPERATE.md says, by the
// commands that are written there.
func testOperate(t *testing.T, c *cluster) {
	sh := newOperator(t, c)
	secret := func() string {
		t.Helper()
		return c.kubectl(t, "exec", "-n", "lanyard", "lanyard-0", "--", "lanyard", "secret", "get", "workshop-kv", "mysecret")
	}
	pod := func() string {
		t.Helper()
		return c.kubectl(t, "get", "pod", "-n", "lanyard", "lanyard-0", "-o", "jsonpath={.metadata.uid}")
	}
	claim := func(path string) string {
		t.Helper()
		return c.kubectl(t, "get", "pvc", "-n", "lanyard", "data-lanyard-0", "-o", "jsonpath={"+path+"}")
	}

	want := secret()
	sh.run("`-` is standard output of `snapshot`")
	c.kubectlIn(t, "changed since", "exec", "-i", "-n", "lanyard", "lanyard-0", "--", "lanyard", "secret", "set", "workshop-kv", "mysecret")
	sh.run("Back into the cluster:")
	if got := secret(); got != want {
		t.Errorf("the restored secret is %q, want %q", got, want)
	}
	if got := claim(".spec.volumeName"); got != "restored" {
		t.Errorf("the store is on the volume %s: it is the old one", got)
	}
	if got := c.kubectl(t, "get", "pv", "data", "-o", "jsonpath={.status.phase}"); got != "Released" {
		t.Errorf("the old volume is %s, want Released", got)
	}
	if args := c.kubectl(t, "get", "statefulset", "-n", "lanyard", "lanyard", "-o", "jsonpath={..args}"); strings.Contains(args, "--new-admin") {
		t.Errorf("every start makes a new admin: %s", args)
	}

	before := pod()
	out, err := sh.try("helm upgrade lanyard deploy/chart/lanyard -n lanyard --reuse-values --set persistence.size=16Gi")
	if err == nil || !strings.Contains(out, "field is immutable") {
		t.Errorf("a StatefulSet's volumes can be made larger in place now: %v\n%s", err, out)
	}
	sh.run("### Larger volumes")
	if got := claim(".spec.resources.requests.storage"); got != "16Gi" {
		t.Errorf("the claim asks for %s, want 16Gi", got)
	}
	if got := c.kubectl(t, "get", "statefulset", "-n", "lanyard", "lanyard", "-o", "jsonpath={..requests.storage} {.status.readyReplicas}"); got != "16Gi 1" {
		t.Errorf("the StatefulSet's size and ready pods: %s, want 16Gi 1", got)
	}
	if pod() != before {
		t.Error("the pod was made anew")
	}
	if got := secret(); got != want {
		t.Errorf("on the larger volume the secret is %q, want %q", got, want)
	}
}

// operator is a shell with the cluster's kubectl and Helm, and the charts.
type operator struct {
	t   *testing.T
	c   *cluster
	dir string
}

func newOperator(t *testing.T, c *cluster) *operator {
	t.Helper()
	if _, err := exec.LookPath("jq"); err != nil {
		cannotRun(t, "there is no jq, which docs/OPERATE.md uses")
	}
	o := &operator{t, c, t.TempDir()}
	deploy, err := filepath.Abs("../../deploy")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(deploy, filepath.Join(o.dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	helm := fmt.Sprintf("#!/bin/sh\nexec %s env KUBECONFIG=%s %s \"$@\"\n", filepath.Join(c.dir, "net"), c.kubeconfig(), os.Getenv("LANYARD_HELM"))
	if err := os.Mkdir(filepath.Join(o.dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.dir, "bin", "helm"), []byte(helm), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(c.dir, "kubectl"), filepath.Join(o.dir, "bin", "kubectl")); err != nil {
		t.Fatal(err)
	}
	return o
}

// run runs the first shell block after words of docs/OPERATE.md.
func (o *operator) run(after string) {
	o.t.Helper()
	_, rest, found := strings.Cut(string(read(o.t, "../../docs/OPERATE.md")), after)
	_, rest, begins := strings.Cut(rest, "```sh\n")
	script, _, ends := strings.Cut(rest, "```\n")
	if !found || !begins || !ends {
		o.t.Fatalf("docs/OPERATE.md has no shell block after %q", after)
	}
	if out, err := o.try(script); err != nil {
		o.t.Fatalf("what docs/OPERATE.md says after %q: %v\n%s\n%s", after, err, out, o.c.kubectl(o.t, "describe", "pods,pvc,pv", "-n", "lanyard"))
	}
}

func (o *operator) try(script string) (string, error) {
	ctx, cancel := context.WithTimeout(o.t.Context(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = o.dir
	cmd.Env = []string{"HOME=" + o.dir, "PATH=" + filepath.Join(o.dir, "bin") + ":" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
