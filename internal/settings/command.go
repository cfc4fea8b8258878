package settings

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Of is the Config of a command that is about to run, without its surroundings: where
// the environment is, and whom to warn.
func Of(cmd *cobra.Command) Config {
	return Config{
		Command: topOf(cmd), Flags: settingsOf(cmd), Known: knownSettings(cmd.Root()), Others: allFlags(cmd.Root()), Nearest: nearest,
	}
}

// noSetting are flags that only the command line has.
var noSetting = []string{"help", "version"}

// settingsOf a command: every command's own global ones; all flags of the server,
// and of the commands that work on its store, which mean the same there; and those of
// the other programs that run long, with the program's name before them. What one
// command's flag is called by chance in another is no setting.
func settingsOf(cmd *cobra.Command) []*Flag {
	var all []*Flag
	top := topOf(cmd)
	server := serverFlags(cmd.Root())
	global := cmd.Root().PersistentFlags()
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case slices.Contains(noSetting, f.Name):
		case global.Lookup(f.Name) == f, top == "up", (top == "store" || top == "seal") && server.Lookup(f.Name) != nil:
			all = append(all, flagOf(cmd, f, f.Name))
		case top == "webhook", top == "proxy", top == "imds":
			s := flagOf(cmd, f, top+"-"+f.Name)
			if server.Lookup(f.Name) == nil && global.Lookup(f.Name) == nil || strings.HasPrefix(f.Name, "log-") {
				s.Keys = append(s.Keys, f.Name)
			}
			all = append(all, s)
		}
	})
	return all
}

func flagOf(cmd *cobra.Command, f *pflag.Flag, key string) *Flag {
	return &Flag{
		Name: f.Name, Keys: []string{key}, Given: f.Changed,
		Set: func(value string) error { return cmd.Flags().Set(f.Name, value) },
	}
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
		for _, s := range settingsOf(c) {
			known = append(known, s.Keys...)
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
