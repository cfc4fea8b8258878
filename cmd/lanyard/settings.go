package main

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/lanyard-io/lanyard/internal/shell"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// setting is a flag that the environment and the configuration file may set too.
type setting struct {
	flag *pflag.Flag
	keys []string // in the file, the first that is there counts; in the environment as LANYARD_KEY
}

// variableOf is a setting's name in the environment.
func variableOf(key string) string {
	return "LANYARD_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// noSetting are flags that only the command line has.
var noSetting = []string{"help", "version"}

// settings of a command: every command's own global ones; all flags of the server,
// and of the commands that work on its store, which mean the same there; and those of
// the other programs that run long, with the program's name before them. What one
// command's flag is called by chance in another is no setting.
func settings(cmd *cobra.Command) []setting {
	var all []setting
	top := topOf(cmd)
	server := serverFlags(cmd.Root())
	global := cmd.Root().PersistentFlags()
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case slices.Contains(noSetting, f.Name):
		case global.Lookup(f.Name) == f, top == "up", (top == "store" || top == "seal") && server.Lookup(f.Name) != nil:
			all = append(all, setting{f, []string{f.Name}})
		case top == "webhook", top == "proxy", top == "imds":
			s := setting{f, []string{top + "-" + f.Name}}
			if server.Lookup(f.Name) == nil && global.Lookup(f.Name) == nil || strings.HasPrefix(f.Name, "log-") {
				s.keys = append(s.keys, f.Name)
			}
			all = append(all, s)
		}
	})
	return all
}

// topOf is the name of the command below the root that cmd belongs to.
func topOf(cmd *cobra.Command) string {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	return cmd.Name()
}

func serverFlags(root *cobra.Command) *pflag.FlagSet {
	for _, c := range root.Commands() {
		if c.Name() == "up" {
			return c.Flags()
		}
	}
	return pflag.NewFlagSet("", pflag.ContinueOnError)
}

// knownSettings are the keys of all commands' settings.
func knownSettings(root *cobra.Command) []string {
	var known []string
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, s := range settings(c) {
			known = append(known, s.keys...)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	slices.Sort(known)
	return slices.Compact(known)
}

// allFlags are those of all commands, settings or not.
func allFlags(cmd *cobra.Command) []string {
	var names []string
	add := func(f *pflag.Flag) {
		if f.Name != "help" {
			names = append(names, f.Name)
		}
	}
	cmd.LocalFlags().VisitAll(add)
	cmd.PersistentFlags().VisitAll(add)
	for _, sub := range cmd.Commands() {
		names = append(names, allFlags(sub)...)
	}
	return names
}

// fillFlags sets what the command line left open: from the environment, then
// from the configuration file.
func (a *app) fillFlags(cmd *cobra.Command) error {
	if strings.HasPrefix(cmd.Name(), cobra.ShellCompRequestCmd) {
		return nil // a shell asks, nobody reads
	}
	var faults []error
	set := func(f *pflag.Flag, value, source string) {
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", source, err))
		}
	}
	all, known := settings(cmd), knownSettings(cmd.Root())
	a.warnOfVariables(cmd, all, known)
	for _, s := range all {
		for _, key := range s.keys {
			name := variableOf(key)
			if v := a.Getenv(name); v != "" && !s.flag.Changed && !serviceLink(name, v) {
				set(s.flag, v, name)
			}
		}
	}
	if a.config != "" {
		values, err := readConfig(a.config, slices.Concat(known, allFlags(cmd.Root())))
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if !slices.Contains(known, key) {
				a.say("warning: %s: %s is no setting, only a flag of some commands", a.config, key)
			}
		}
		for _, s := range all {
			for _, key := range s.keys {
				if v, ok := values[key]; ok && !s.flag.Changed {
					set(s.flag, v, a.config)
				}
			}
		}
	}
	if dir, err := filepath.Abs(a.dataDir); err == nil {
		a.dataDir = dir // what is printed of it must hold in other directories too
	}
	if !slices.Contains(formats(), a.output) {
		faults = append(faults, fmt.Errorf("output format %q: want one of %s", a.output, strings.Join(formats(), ", ")))
	}
	return errors.Join(faults...)
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

// warnOfVariables says, in one line, which variables set nothing here although their
// names say that they would.
func (a *app) warnOfVariables(cmd *cobra.Command, all []setting, known []string) {
	if a.Environ == nil {
		return
	}
	var names []string
	for _, key := range known {
		names = append(names, variableOf(key))
	}
	var odd []string
	for _, line := range a.Environ() {
		name, value, _ := strings.Cut(line, "=")
		short, ours := strings.CutPrefix(name, "LANYARD_")
		if !ours || value == "" || serviceLink(name, value) {
			continue
		}
		switch {
		case slices.Contains(names, name):
			if own := prefixed(topOf(cmd), all, name); own != "" {
				odd = append(odd, fmt.Sprintf("%s (it is for lanyard up; here it is %s)", name, own))
			}
		case strings.Contains(testVariables, " "+short+" "), strings.HasPrefix(short, "TEST_"), strings.HasPrefix(short, "AZ_"), strings.HasPrefix(name, shell.Was):
		default:
			if like := nearest(name, names); like != "" {
				name += " (did you mean " + like + "?)"
			}
			odd = append(odd, name)
		}
	}
	if len(odd) > 0 {
		slices.Sort(odd)
		a.say("warning: no setting of lanyard %s: %s", topOf(cmd), strings.Join(odd, ", "))
	}
}

// prefixed is the variable of a flag that the server has too, when name is the server's.
func prefixed(top string, all []setting, name string) string {
	for _, s := range all {
		if own := variableOf(s.keys[0]); own == variableOf(top+"-"+s.flag.Name) && !slices.Contains(s.keys, s.flag.Name) && name == variableOf(s.flag.Name) {
			return own
		}
	}
	return ""
}

// nearest is the known name that another was probably meant for.
func nearest(name string, known []string) string {
	lookup := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, k := range known {
		lookup.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	for _, like := range lookup.SuggestionsFor(name) {
		if like != name {
			return like
		}
	}
	return ""
}

// readConfig reads a YAML mapping of flag names to values. A key that no
// command knows is an error: a misspelt limit must not be silently absent.
func readConfig(path string, known []string) (map[string]string, error) {
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
