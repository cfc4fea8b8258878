package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanyard-io/lanyard/internal/settings"
	"github.com/lanyard-io/lanyard/internal/table"
)

// noSetting are flags that only the command line has.
var noSetting = []string{"help", "version"}

// settingsOf a command: every command's own global ones; all flags of the server,
// and of the commands that work on its store, which mean the same there; and those of
// the other programs that run long, with the program's name before them. What one
// command's flag is called by chance in another is no setting.
func settingsOf(cmd *cobra.Command) []*settings.Flag {
	var all []*settings.Flag
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

func flagOf(cmd *cobra.Command, f *pflag.Flag, key string) *settings.Flag {
	return &settings.Flag{
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

// fillFlags sets what the command line left open: from the environment, then
// from the configuration file.
func (a *app) fillFlags(cmd *cobra.Command) error {
	if strings.HasPrefix(cmd.Name(), cobra.ShellCompRequestCmd) {
		return nil // a shell asks, nobody reads
	}
	s := settings.New(settings.Config{
		Command: topOf(cmd), Flags: settingsOf(cmd), Known: knownSettings(cmd.Root()), Others: allFlags(cmd.Root()),
		Getenv: a.Getenv, Environ: a.Environ, Nearest: nearest, Warn: a.say,
	})
	faults := []error{s.FromEnvironment()}
	if a.config != "" {
		faults = append(faults, s.FromFile(a.config))
	}
	if dir, err := filepath.Abs(a.dataDir); err == nil {
		a.dataDir = dir // what is printed of it must hold in other directories too
	}
	if !slices.Contains(table.Formats(), a.output) {
		faults = append(faults, fmt.Errorf("output format %q: want one of %s", a.output, strings.Join(table.Formats(), ", ")))
	}
	return errors.Join(faults...)
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
