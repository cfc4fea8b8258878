package azcli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/azcli"
	"github.com/lanyard-io/lanyard/internal/fault"
)

// script plays az: it notes each command, answers questions from files beside it, and
// shows what is in a file that an argument names with @.
const script = `#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/commands"
for arg; do case "$arg" in @*) cat "${arg#@}" >> "$here/secret"; stat -c %a "${arg#@}" >> "$here/mode"; esac; done
[ ! -e "$here/$1-$2.fails" ] || { cat "$here/$1-$2.fails" >&2; exit 1; }
[ ! -e "$here/$1-$2.json" ] || cat "$here/$1-$2.json"
`

// az is one such program, and a CLI that drives it.
type az struct {
	t    *testing.T
	dir  string
	said []string
	cli  *azcli.CLI
}

func newAZ(t *testing.T, change func(*azcli.Config)) *az {
	t.Helper()
	z := &az{t: t, dir: t.TempDir()}
	z.write("az", script, 0o700)
	z.write("cloud-list.json", `[{"name":"AzureCloud","isActive":true}]`, 0o600)
	z.write("config-get.json", `{}`, 0o600)
	path, err := azcli.Find(filepath.Join(z.dir, "az"))
	if err != nil {
		t.Fatal(err)
	}
	c := azcli.Config{
		Program: path, Env: os.Environ(), Cloud: "Lanyard", Address: "lanyard.localhost", SecretDir: z.dir,
		TenantID: "tenant", SubscriptionID: "subscription", ClientID: "admin", ClientSecret: "correct horse",
		Say: func(format string, args ...any) { z.said = append(z.said, fmt.Sprintf(format, args...)) },
	}
	if change != nil {
		change(&c)
	}
	z.cli = azcli.New(c)
	return z
}

func (z *az) write(name, text string, mode os.FileMode) {
	z.t.Helper()
	if err := os.WriteFile(filepath.Join(z.dir, name), []byte(text), mode); err != nil {
		z.t.Fatal(err)
	}
}

func (z *az) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(z.dir, name))
	return string(b)
}

// want compares what was run with the beginnings of commands.
func (z *az) want(want ...string) {
	z.t.Helper()
	got := strings.Split(strings.TrimSpace(z.read("commands")), "\n")
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		z.t.Errorf("az was run so:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSetup(t *testing.T) {
	z := newAZ(t, nil)
	if err := z.cli.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	z.want("cloud list", "config get", "config set core.instance_discovery=false lanyard.was_instance_discovery=unset lanyard.was_cloud=AzureCloud",
		`cloud register --name Lanyard --cloud-config {"endpoints":`, "cloud set --name Lanyard", "login --service-principal --username admin --password @",
		"account set --subscription subscription")
	if z.read("secret") != "correct horse" || z.read("mode") != "600\n" {
		t.Errorf("az read %q from a file of mode %s", z.read("secret"), z.read("mode"))
	}
	if left, _ := filepath.Glob(filepath.Join(z.dir, ".az-secret*")); len(left) > 0 {
		t.Errorf("the secret's file stays: %v", left)
	}
	said := strings.Join(z.said, "\n")
	if shown := said + z.read("commands"); strings.Contains(shown, "correct horse") || !strings.Contains(said, "--password '***'") {
		t.Errorf("the secret is shown, or nothing in its place:\n%s", shown)
	}
	for _, endpoint := range []string{"https://login.lanyard.localhost", ".vault.lanyard.localhost", "https://graph.lanyard.localhost/", "https://management.lanyard.localhost/"} {
		if !strings.Contains(z.read("commands"), `"`+endpoint+`"`) {
			t.Errorf("the cloud lacks %s", endpoint)
		}
	}
}

// What was noted the first time is not overwritten by what setup itself has set.
func TestSetupAgain(t *testing.T) {
	z := newAZ(t, nil)
	z.write("cloud-list.json", `[{"name":"AzureCloud"},{"name":"Lanyard","isActive":true}]`, 0o600)
	if err := z.cli.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	z.want("cloud list", "config set core.instance_discovery=false --only-show-errors", "cloud update --name Lanyard", "login", "account set")
}

func TestSetupWithAzuresNames(t *testing.T) {
	z := newAZ(t, func(c *azcli.Config) { c.AzureNames = true })
	if err := z.cli.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	z.want("cloud list", "login", "account set")
	if z.cli.Cloud() != "AzureCloud" {
		t.Errorf("the cloud is %s", z.cli.Cloud())
	}
}

// The secret's file goes when az fails, too, and az's own words are the error.
func TestRefusedSignIn(t *testing.T) {
	z := newAZ(t, nil)
	z.write("login---service-principal.fails", "ERROR: AADSTS7000215: wrong secret\n", 0o600)
	err := z.cli.Setup(t.Context())
	if err == nil || err.Error() != "az login --service-principal: AADSTS7000215: wrong secret" {
		t.Errorf("the error is %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(z.dir, ".az-secret*")); len(left) > 0 {
		t.Errorf("the secret's file stays: %v", left)
	}
}

func TestTeardown(t *testing.T) {
	noted := func(discovery, cloud string) string {
		return fmt.Sprintf(`{"lanyard":[{"name":"was_instance_discovery","value":%q},{"name":"was_cloud","value":%q}]}`, discovery, cloud)
	}
	for name, test := range map[string]struct {
		clouds, settings, accounts string
		want                       []string
	}{
		"active": {
			`[{"name":"AzureCloud"},{"name":"Lanyard","isActive":true}]`, noted("unset", "AzureChinaCloud"), `[{"user":{"name":"admin"}}]`,
			[]string{"cloud list", "config get", "account list", "logout --username admin", "cloud set --name AzureChinaCloud", "cloud unregister --name Lanyard",
				"config get", "config unset lanyard.was_instance_discovery lanyard.was_cloud core.instance_discovery"},
		},
		"another-is-active": { // az signs out of the active cloud only
			`[{"name":"AzureCloud","isActive":true},{"name":"Lanyard"}]`, noted("true", "AzureChinaCloud"), `[]`,
			[]string{"cloud list", "config get", "cloud set --name Lanyard", "account list", "cloud set --name AzureCloud", "cloud unregister --name Lanyard",
				"config get", "config set core.instance_discovery=true", "config unset lanyard.was_instance_discovery lanyard.was_cloud --only-show-errors"},
		},
		"nothing-noted": {
			`[{"name":"Lanyard","isActive":true}]`, `{}`, `[]`,
			[]string{"cloud list", "config get", "account list", "cloud set --name AzureCloud", "cloud unregister", "config get", "config unset"},
		},
		"never-set-up": {`[{"name":"AzureCloud","isActive":true}]`, `{}`, `[]`, []string{"cloud list"}},
	} {
		t.Run(name, func(t *testing.T) {
			z := newAZ(t, nil)
			z.write("cloud-list.json", test.clouds, 0o600)
			z.write("config-get.json", test.settings, 0o600)
			z.write("account-list.json", test.accounts, 0o600)
			if err := z.cli.Teardown(t.Context()); err != nil {
				t.Fatal(err)
			}
			z.want(test.want...)
		})
	}
}

func TestFind(t *testing.T) {
	if _, err := azcli.Find(filepath.Join(t.TempDir(), "az")); err == nil || fault.Hint(err) == "" {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestSubscription(t *testing.T) {
	dir := t.TempDir()
	text := "[AzureCloud]\nsubscription = one\n\n[Other]\nname = x\nsubscription=two\n"
	if err := os.WriteFile(filepath.Join(dir, "clouds.config"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for cloud, want := range map[string]string{"AzureCloud": "one", "Other": "two", "None": ""} {
		if got := azcli.Subscription(dir, cloud); got != want {
			t.Errorf("%s has %q, want %q", cloud, got, want)
		}
	}
	if got := azcli.Subscription(t.TempDir(), "AzureCloud"); got != "" {
		t.Errorf("a directory without the file has %q", got)
	}
}
