package settings_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/settings"
)

// command is one with two flags: listen, which the server has too, and identity.
type command struct {
	c      settings.Config
	values map[string]string
	warned []string
}

func newCommand(env map[string]string) *command {
	m := &command{values: map[string]string{}}
	flag := func(name string, keys ...string) *settings.Flag {
		return &settings.Flag{Name: name, Keys: keys, Set: func(v string) error {
			if v == "bad" {
				return errors.New("want good")
			}
			m.values[name] = v
			return nil
		}}
	}
	m.c = settings.Config{
		Command: "imds", Flags: []*settings.Flag{flag("listen", "imds-listen"), flag("identity", "imds-identity", "identity")},
		Known: []string{"imds-listen", "imds-identity", "identity", "listen", "config"}, Others: []string{"dry-run"},
		Getenv: func(name string) string { return env[name] },
		Environ: func() (all []string) {
			for name, value := range env {
				all = append(all, name+"="+value)
			}
			return all
		},
		Nearest: func(name string, _ []string) string {
			if name == "LANYARD_IMDS_LISTN" {
				return "LANYARD_IMDS_LISTEN"
			}
			return ""
		},
		Warn: func(format string, args ...any) { m.warned = append(m.warned, fmt.Sprintf(format, args...)) },
	}
	return m
}

func TestFromEnvironment(t *testing.T) {
	for name, test := range map[string]struct {
		env    map[string]string
		given  bool
		want   string // the flags' values
		warns  string
		faults string
	}{
		"nothing":           {want: "map[]"},
		"own-key":           {env: map[string]string{"LANYARD_IMDS_LISTEN": ":1"}, want: "map[listen::1]"},
		"short-key":         {env: map[string]string{"LANYARD_IDENTITY": "a"}, want: "map[identity:a]"},
		"the-first-counts":  {env: map[string]string{"LANYARD_IDENTITY": "a", "LANYARD_IMDS_IDENTITY": "b"}, want: "map[identity:b]"},
		"command-line":      {env: map[string]string{"LANYARD_IMDS_LISTEN": ":1"}, given: true, want: "map[]"},
		"the-server's":      {env: map[string]string{"LANYARD_LISTEN": ":1"}, want: "map[]", warns: "LANYARD_LISTEN (it is for lanyard up; here it is LANYARD_IMDS_LISTEN)"},
		"misspelt":          {env: map[string]string{"LANYARD_IMDS_LISTN": ":1"}, want: "map[]", warns: "LANYARD_IMDS_LISTN (did you mean LANYARD_IMDS_LISTEN?)"},
		"unknown":           {env: map[string]string{"LANYARD_X": "1"}, want: "map[]", warns: "no setting of lanyard imds: LANYARD_X"},
		"empty":             {env: map[string]string{"LANYARD_X": ""}, want: "map[]"},
		"kept-by-env":       {env: map[string]string{"LANYARD_WAS_HTTPS_PROXY": "-"}, want: "map[]"},
		"service":           {env: map[string]string{"LANYARD_SERVICE_HOST": "10.0.0.1", "LANYARD_PORT_443_TCP_ADDR": "10.0.0.1"}, want: "map[]"},
		"service-like-ours": {env: map[string]string{"LANYARD_IMDS_PORT": "tcp://10.0.0.1:443"}, want: "map[]"},
		"fault":             {env: map[string]string{"LANYARD_IMDS_LISTEN": "bad", "LANYARD_IDENTITY": "a"}, want: "map[identity:a]", faults: "LANYARD_IMDS_LISTEN: want good"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newCommand(test.env)
			m.c.Flags[0].Given = test.given
			err := settings.New(m.c).FromEnvironment()
			if got := fmt.Sprint(m.values); got != test.want {
				t.Errorf("values %s, want %s", got, test.want)
			}
			if got := strings.Join(m.warned, "\n"); got != test.warns && (test.warns == "" || !strings.Contains(got, test.warns)) {
				t.Errorf("warned %q, want %q", got, test.warns)
			}
			if got := fmt.Sprint(err); test.faults == "" && err != nil || test.faults != "" && got != test.faults {
				t.Errorf("error %v, want %q", err, test.faults)
			}
		})
	}
}

func TestFromFile(t *testing.T) {
	for name, test := range map[string]struct{ text, want, warns, faults string }{
		"value":          {"imds-listen: ':1'\n", "map[listen::1]", "", ""},
		"number-and-bom": {"\ufeffidentity: 7\r\n", "map[identity:7]", "", ""},
		"list":           {"identity: [a, b]\n", "map[identity:a,b]", "", ""},
		"unknown":        {"listn: x\n", "map[]", "", `no such setting "listn"`},
		"itself":         {"config: x\n", "map[]", "", `no such setting "config"`},
		"no-value":       {"identity:\n", "map[]", "", "it has no value"},
		"mapping":        {"identity: {a: b}\n", "map[]", "", "one value or a list"},
		"only-a-flag":    {"dry-run: true\n", "map[]", "dry-run is no setting", ""},
		"fault":          {"imds-listen: bad\n", "map[]", "", "want good"},
		"no-yaml":        {"{", "map[]", "", "settings.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "settings.yaml")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			m := newCommand(nil)
			err := settings.New(m.c).FromFile(path)
			if got := fmt.Sprint(m.values); got != test.want {
				t.Errorf("values %s, want %s", got, test.want)
			}
			if (err == nil) != (test.faults == "") || err != nil && !strings.Contains(err.Error(), test.faults) {
				t.Errorf("error %v, want %q", err, test.faults)
			}
			if got := strings.Join(m.warned, "\n"); (got == "") != (test.warns == "") || !strings.Contains(got, test.warns) {
				t.Errorf("warned %q, want %q", got, test.warns)
			}
		})
	}
}

// The environment goes before the file.
func TestOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte("identity: file\nimds-listen: file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newCommand(map[string]string{"LANYARD_IDENTITY": "environment"})
	s := settings.New(m.c)
	if err := errors.Join(s.FromEnvironment(), s.FromFile(path)); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(m.values), "map[identity:environment listen:file]"; got != want {
		t.Errorf("values %s, want %s", got, want)
	}
}
