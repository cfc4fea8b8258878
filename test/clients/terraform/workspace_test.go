package terraform_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// workspace is a directory with a configuration and its state, and a shell in it.
type workspace struct {
	t   *testing.T
	dir string
	// shell leads the provider to the server, login signs it in, and vars are the
	// configuration's variables.
	shell, login, vars []string
}

// newWorkspace copies a configuration of testdata. The provider is the built one:
// nothing is fetched, and there is no registry to fetch it from.
func (l *lab) newWorkspace(t *testing.T, config string) *workspace {
	t.Helper()
	w := &workspace{t: t, dir: t.TempDir()}
	if err := os.CopyFS(w.dir, os.DirFS(filepath.Join("testdata", config))); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	rc := filepath.Join(home, "tofurc")
	writeFile(t, rc, fmt.Appendf(nil, "provider_installation {\n  dev_overrides {\n    \"hashicorp/azurerm\" = %q\n  }\n}\n", os.Getenv("LANYARD_AZURERM")))
	w.shell = append(slices.Clone(l.env), "PATH="+os.Getenv("PATH"), "HOME="+home, "TMPDIR="+home,
		"TF_CLI_CONFIG_FILE="+rc, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "ARM_USE_CLI=false")
	return w
}

// set gives a variable of the configuration its value: text, or a list as HCL
// writes it. It goes by the environment, where a password is not seen by all.
func (w *workspace) set(name, value string) { w.vars = append(w.vars, "TF_VAR_"+name+"="+value) }

// try gives standard output; with an error, all output.
func (w *workspace) try(args ...string) (string, error) {
	w.t.Helper()
	env := slices.Concat(w.shell, w.login, w.vars)
	out, errs, err := run(w.t, command{dir: w.dir, env: env, name: os.Getenv("LANYARD_TOFU"), args: args})
	if err != nil {
		out += errs
	}
	return out, err
}

// tofu runs a command that must succeed.
func (w *workspace) tofu(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.t.Fatalf("tofu %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// fails runs a command that must fail, and say all of want.
func (w *workspace) fails(want []string, args ...string) {
	w.t.Helper()
	out, err := w.try(append(args, "-no-color")...)
	if err == nil {
		w.t.Fatalf("tofu %s succeeds, want a failure\n%s", strings.Join(args, " "), out)
	}
	// What the provider reports is wrapped into a box of lines.
	words := strings.Join(strings.Fields(strings.ReplaceAll(out, "│", " ")), " ")
	for _, say := range want {
		if !strings.Contains(words, say) {
			w.t.Errorf("tofu %s does not say %q", strings.Join(args, " "), say)
		}
	}
	if w.t.Failed() {
		w.t.Log(out)
	}
}

func (w *workspace) apply() {
	w.t.Helper()
	w.tofu("apply", "-auto-approve", "-no-color")
}

// planIsClean fails the test if Terraform would change anything.
func (w *workspace) planIsClean() {
	w.t.Helper()
	out, err := w.try("plan", "-detailed-exitcode", "-no-color")
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 2 {
		w.t.Fatalf("the plan is not clean:\n%s", out)
	}
	if err != nil {
		w.t.Fatalf("tofu plan: %v\n%s", err, out)
	}
}

// plan writes a plan, and says what it does with each resource.
func (w *workspace) plan() map[string]resourceChange {
	w.t.Helper()
	w.tofu("plan", "-out=plan", "-no-color")
	var plan struct {
		Changes []resourceChange `json:"resource_changes"`
	}
	w.show(&plan, "plan")
	changes := map[string]resourceChange{}
	for _, c := range plan.Changes {
		if c.Mode == "managed" {
			changes[c.Address] = c
		}
	}
	return changes
}

// resourceChange is https://opentofu.org/docs/internals/json-format/#plan-representation.
type resourceChange struct {
	Address, Mode string
	Change        struct {
		Actions   []string
		Importing *struct{ ID string }
	}
}

// does is the change in one word, such as "no-op", "update" or "delete+create".
func (c *resourceChange) does() string { return strings.Join(c.Change.Actions, "+") }

// resources are the addresses and ids in the state.
func (w *workspace) resources() map[string]string {
	w.t.Helper()
	var state struct {
		Values struct {
			Root struct {
				Resources []struct {
					Address, Mode string
					Values        struct{ ID string }
				}
			} `json:"root_module"`
		}
	}
	w.show(&state)
	ids := map[string]string{}
	for _, r := range state.Values.Root.Resources {
		if r.Mode == "managed" {
			ids[r.Address] = r.Values.ID
		}
	}
	return ids
}

// outputs are the configuration's, sensitive ones too.
func (w *workspace) outputs() map[string]any {
	w.t.Helper()
	var outputs map[string]struct{ Value any }
	if err := json.Unmarshal([]byte(w.tofu("output", "-json")), &outputs); err != nil {
		w.t.Fatal(err)
	}
	values := map[string]any{}
	for name, o := range outputs {
		values[name] = o.Value
	}
	return values
}

// show reads a plan, or the state.
func (w *workspace) show(into any, file ...string) {
	w.t.Helper()
	out := w.tofu(append([]string{"show", "-json"}, file...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		w.t.Fatalf("tofu show: %v", err)
	}
}
