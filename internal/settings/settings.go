package settings

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyard-io/lanyard/internal/shell"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// Flag is one of a command's that may be set elsewhere.
type Flag struct {
	Name string
	// Keys are its names in the file, the first that is there counts; in the environment
	// each is LANYARD_KEY.
	Keys []string
	// Given says that it has a value already: nothing changes that.
	Given bool
	Set   func(value string) error
}

// Config for New.
type Config struct {
	// Command is the one that runs, for words.
	Command string
	Flags   []*Flag
	// Known are the keys of all commands' settings, and Others the flags of all
	// commands, settings or not.
	Known, Others []string
	Getenv        func(string) string
	// Environ is the whole environment; nil if nobody is to be warned of a misspelt one.
	Environ func() []string
	// Nearest is the known name that another was probably meant for, or empty.
	Nearest func(name string, known []string) string
	Warn    func(format string, args ...any)
}

// Settings are a command's.
type Settings struct{ c Config }

// New sets nothing yet.
func New(c Config) *Settings { return &Settings{c} }

// variableOf is a setting's name in the environment.
func variableOf(key string) string {
	return "LANYARD_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// FromEnvironment sets what the command line left open, and warns of variables that
// set nothing.
func (s *Settings) FromEnvironment() error {
	s.warn()
	var faults []error
	for _, f := range s.c.Flags {
		for _, key := range f.Keys {
			name := variableOf(key)
			if v := s.c.Getenv(name); v != "" && !f.Given && !serviceLink(name, v) {
				faults = append(faults, f.set(v, name))
			}
		}
	}
	return errors.Join(faults...)
}

// FromFile sets what is still open from a YAML file.
func (s *Settings) FromFile(path string) error {
	values, err := read(path, slices.Concat(s.c.Known, s.c.Others))
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(s.c.Known, key) {
			s.c.Warn("warning: %s: %s is no setting, only a flag of some commands", path, key)
		}
	}
	var faults []error
	for _, f := range s.c.Flags {
		for _, key := range f.Keys {
			if v, ok := values[key]; ok && !f.Given {
				faults = append(faults, f.set(v, path))
			}
		}
	}
	return errors.Join(faults...)
}

func (f *Flag) set(value, source string) error {
	if err := f.Set(value); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	f.Given = true
	return nil
}

// testVariables are those of this repository's own tests.
const testVariables = " ACCOUNTS AZURERM BIN CACHE CHROMEDRIVER CLUSTER_DIR CLUSTER_NODE EXTERNAL_SECRETS HELM JAVA JAVA_CLASSES" +
	" KUBERNETES NODE NODE_MODULES PYTHON SCREENSHOTS TOFU "

// serviceNames are what Kubernetes puts into pods for a Service called lanyard, or
// lanyard-anything.
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
var serviceNames = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// serviceLink says whether Kubernetes made a variable, and no person.
func serviceLink(name, value string) bool {
	scheme, _, found := strings.Cut(value, "://")
	return serviceNames.MatchString(name) || strings.HasSuffix(name, "_PORT") && found && slices.Contains([]string{"tcp", "udp", "sctp"}, scheme)
}

// warn says, in one line, which variables set nothing here although their names say
// that they would.
func (s *Settings) warn() {
	if s.c.Environ == nil {
		return
	}
	var names []string
	for _, key := range s.c.Known {
		names = append(names, variableOf(key))
	}
	var odd []string
	for _, line := range s.c.Environ() {
		name, value, _ := strings.Cut(line, "=")
		short, ours := strings.CutPrefix(name, "LANYARD_")
		if !ours || value == "" || serviceLink(name, value) {
			continue
		}
		switch {
		case slices.Contains(names, name):
			if own := s.prefixed(name); own != "" {
				odd = append(odd, fmt.Sprintf("%s (it is for lanyard up; here it is %s)", name, own))
			}
		case strings.Contains(testVariables, " "+short+" "), strings.HasPrefix(short, "TEST_"), strings.HasPrefix(short, "AZ_"), strings.HasPrefix(name, shell.Was):
		default:
			if like := s.c.Nearest(name, names); like != "" {
				name += " (did you mean " + like + "?)"
			}
			odd = append(odd, name)
		}
	}
	if len(odd) > 0 {
		slices.Sort(odd)
		s.c.Warn("warning: no setting of lanyard %s: %s", s.c.Command, strings.Join(odd, ", "))
	}
}

// prefixed is the variable of a flag that the server has too, when name is the server's.
func (s *Settings) prefixed(name string) string {
	for _, f := range s.c.Flags {
		if own := variableOf(f.Keys[0]); own == variableOf(s.c.Command+"-"+f.Name) && !slices.Contains(f.Keys, f.Name) && name == variableOf(f.Name) {
			return own
		}
	}
	return ""
}

// read reads a YAML mapping of flag names to values. A key that no
// command knows is an error: a misspelt limit must not be silently absent.
func read(path string, known []string) (map[string]string, error) {
	b, err := textfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	var raw map[string]any
	if err := yaml.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	values := map[string]string{}
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if !slices.Contains(known, key) || key == "config" {
			faults = append(faults, fmt.Errorf("%s: no such setting %q", path, key))
			continue
		}
		v, err := word(raw[key])
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %s: %w", path, key, err))
			continue
		}
		values[key] = v
	}
	return values, errors.Join(faults...)
}

// word is a YAML value as it would stand on the command line.
func word(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", errors.New("it has no value")
	case map[string]any, map[any]any:
		return "", errors.New("want one value or a list of them")
	case []any:
		var words []string
		for _, item := range v {
			w, err := word(item)
			if err != nil {
				return "", err
			}
			words = append(words, w)
		}
		return strings.Join(words, ","), nil
	}
	return fmt.Sprint(v), nil
}
