package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/lanyard-io/lanyard/internal/client"
)

// stdio is what a command may touch of the process.
type stdio struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
}

// app is what every command shares.
type app struct {
	stdio
	dataDir     string
	output      string // table or json
	config      string // YAML file
	credentials string // file; default the data directory's admin.json
	server      string // public address of a server on another machine
	caFile      string // that server's CA
	ran         bool   // a command began its work: the words on the command line were right
}

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, io stdio) int {
	a := &app{stdio: io}
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if hintFor(err) == "" && (!a.ran || client.IsBadRequest(err)) {
		err = withHint(err, cmd.CommandPath()+" --help")
	}
	printError(io.Err, err)
	return 1
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "lanyard",
		Short: "Workload identity for any cluster, in Azure's own protocols",
		Long: `Lanyard gives workloads an identity that other systems can check, so that they
need no stored secret. It speaks Azure's protocols: the Azure CLI, SDKs and
existing manifests work against it unmodified.

Every flag can also be set as LANYARD_FLAG in the environment (--data-dir is
LANYARD_DATA_DIR), or in a YAML file given with --config (data-dir: …).`,
		Example: `  lanyard demo                      # see the whole chain work, in seconds
  lanyard up                        # run the server here
  eval "$(lanyard env)"             # make this shell's clients find and trust it`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.fillFlags(cmd) },
		Args:              verbOnly,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	f := root.PersistentFlags()
	f.StringVar(&a.dataDir, "data-dir", defaultDataDir(a.Getenv), "the server's data directory")
	f.StringVarP(&a.output, "output", "o", "table", "output `format`: table or json")
	f.StringVar(&a.config, "config", "", "YAML `file` with flags as keys")
	f.StringVar(&a.credentials, "credentials", "", "credentials `file` to sign in with (default DATA-DIR/admin.json)")
	f.StringVar(&a.server, "server", "", "public `address` of a server elsewhere, DOMAIN[:PORT]")
	f.StringVar(&a.caFile, "ca-file", "", "PEM `file` with that server's CA (default the system's)")

	root.AddCommand(
		newUpCmd(a), newEnvCmd(a), newHostsCmd(a), newCACmd(a), newAdminCmd(a), newDemoCmd(a), newQuickstartCmd(a), newExplainCmd(a),
		newIdentityCmd(a), newCredentialCmd(a), newVaultCmd(a), newSecretCmd(a), newPolicyCmd(a), newIssuerCmd(a), newAppCmd(a), newUserCmd(a), newRoleCmd(a),
		newClusterCmd(a), newServiceAccountCmd(a), newDoctorCmd(a), newWebhookCmd(a), newAZCmd(a), newProxyCmd(a), newIMDSCmd(a),
		newStoreCmd(a), newSealCmd(a), newKeysCmd(a), newTokenCmd(a), newVersionCmd(a),
	)
	a.noteRuns(root)
	return root
}

// noteRuns has every command say when its work begins.
func (a *app) noteRuns(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.ran = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		a.noteRuns(sub)
	}
}

// verbOnly refuses a word that is no command, and names the one it may stand for.
func verbOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		return withHint(err, "did you mean "+cmd.CommandPath()+" "+like[0]+"?")
	}
	return err
}

func defaultDataDir(getenv func(string) string) string {
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".lanyard")
	}
	return "lanyard-data"
}

// fillFlags sets what the command line left open: from the environment, then
// from the configuration file.
func (a *app) fillFlags(cmd *cobra.Command) error {
	var faults []error
	set := func(f *pflag.Flag, value, source string) {
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", source, err))
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := "LANYARD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := a.Getenv(name); v != "" && !f.Changed {
			set(f, v, name)
		}
	})
	if a.config != "" {
		values, err := readConfig(a.config, knownFlags(cmd.Root()))
		if err != nil {
			return err
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if v, ok := values[f.Name]; ok && !f.Changed {
				set(f, v, a.config)
			}
		})
	}
	if dir, err := filepath.Abs(a.dataDir); err == nil {
		a.dataDir = dir // what is printed of it must hold in other directories too
	}
	if a.output != "table" && a.output != "json" {
		faults = append(faults, fmt.Errorf("output format %q: want table or json", a.output))
	}
	return errors.Join(faults...)
}

// readConfig reads a YAML mapping of flag names to values. A key that no
// command knows is an error: a misspelt limit must not be silently absent.
func readConfig(path string, known []string) (map[string]string, error) {
	b, err := os.ReadFile(path)
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
		if !slices.Contains(known, key) || key == "config" || key == "help" {
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

func knownFlags(root *cobra.Command) []string {
	var known []string
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		add := func(f *pflag.Flag) { known = append(known, f.Name) }
		c.LocalFlags().VisitAll(add)
		c.PersistentFlags().VisitAll(add)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	return known
}

// noun groups the verbs of one thing.
func noun(use, short string, aliases []string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Aliases: aliases, Args: verbOnly}
	cmd.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	cmd.AddCommand(verbs...)
	return cmd
}
