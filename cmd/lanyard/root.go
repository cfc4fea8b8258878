package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/settings"
	"github.com/lanyard-io/lanyard/internal/table"
	"github.com/lanyard-io/lanyard/internal/verdict"
)

// stdio is what a command may touch of the process.
type stdio struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Environ  func() []string // nil: no warning of what is misspelt
}

// app is what every command shares.
type app struct {
	stdio
	dataDir     string
	output      string // one of table.Formats
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
	if verdict.Hint(err) == "" && (!a.ran || client.IsBadRequest(err)) {
		err = fault.WithHint(err, cmd.CommandPath()+" --help")
	}
	verdict.Print(io.Err, err)
	return verdict.ExitCode(err, a.ran)
}

// whole says whether the user asked for the value itself.
func (a *app) whole() bool { return a.output == "json" || a.output == "yaml" }

// print writes value or t, as the user asked.
func (a *app) print(value any, t table.Table) error { return t.Print(a.Out, a.output, value) }

// say writes words for people, beside the output.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.Err, format+"\n", args...) }

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "lanyard",
		Short: "Workload identity for any cluster, in Azure's own protocols",
		Long: `Lanyard gives workloads an identity that other systems can check, so that they
need no stored secret. It speaks Azure's protocols: the Azure CLI, SDKs and
existing manifests work against it unmodified.

The flags of lanyard up, and those of every command, can also be set as LANYARD_FLAG in
the environment (--data-dir is LANYARD_DATA_DIR), or in a YAML file that --config names
(data-dir: …). Those of webhook, proxy and imds have the command before them
(LANYARD_IMDS_LISTEN, imds-listen: …). Nothing else of a command is ever set so.`,
		Example: `  lanyard demo                      # see the whole chain work, in seconds
  lanyard up                        # run the server here
  eval "$(lanyard env)"             # make this shell's clients find and trust it`,
		Version:           obs.Build().Version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.fillFlags(cmd) },
		Args:              verbOnly,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	b := obs.Build()
	root.SetVersionTemplate(fmt.Sprintf("lanyard %s (commit %s, %s)\n", b.Version, b.Commit, b.Go))
	f := root.PersistentFlags()
	f.StringVar(&a.dataDir, "data-dir", defaultDataDir(a.Getenv), "the server's data directory")
	f.StringVarP(&a.output, "output", "o", "table", "output `format`: "+strings.Join(table.Formats(), ", "))
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(table.Formats(), cobra.ShellCompDirectiveNoFileComp)) // it fails only for a flag that is not there
	f.StringVar(&a.config, "config", "", "YAML `file` with flags as keys")
	f.StringVar(&a.credentials, "credentials", "", "credentials `file` to sign in with (default DATA-DIR/admin.json)")
	f.StringVar(&a.server, "server", "", "public `address` of a server elsewhere, DOMAIN[:PORT]")
	f.StringVar(&a.caFile, "ca-file", "", "PEM `file` with that server's CA (default the system's)")

	a.addCommands(root)
	a.noteRuns(root)
	a.completeNames(root)
	return root
}

// addCommands adds all commands, in the groups that the help shows.
func (a *app) addCommands(root *cobra.Command) {
	add := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, cmd := range commands {
			cmd.GroupID = id
		}
		root.AddCommand(commands...)
	}
	add("things", "Things:", newGroupCmd(a), newIdentityCmd(a), newCredentialCmd(a), newVaultCmd(a), newSecretCmd(a),
		newPolicyCmd(a), newRoleCmd(a), newAppCmd(a), newUserCmd(a), newIssuerCmd(a))
	add("clusters", "Clusters and pods:", newClusterCmd(a), newBindingCmd(a), newServiceAccountCmd(a), newWebhookCmd(a), newProxyCmd(a), newIMDSCmd(a))
	add("server", "The server:", newUpCmd(a), newDemoCmd(a), newQuickstartCmd(a), newStoreCmd(a), newSealCmd(a), newKeysCmd(a))
	add("clients", "Clients of the server:", newEnvCmd(a), newBrowserCmd(a), newAZCmd(a), newHostsCmd(a), newCACmd(a), newAdminCmd(a), newTokenCmd(a))
	add("help", "Help:", newDoctorCmd(a), newExplainCmd(a), newAuditCmd(a), newVersionCmd(a))
	root.SetHelpCommandGroupID("help")
	root.SetCompletionCommandGroupID("help")
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
		return fault.WithHint(err, "did you mean "+cmd.CommandPath()+" "+like[0]+"?")
	}
	return err
}

func defaultDataDir(getenv func(string) string) string {
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".lanyard")
	}
	return "lanyard-data"
}

// noun groups the verbs of one thing.
func noun(use, short string, aliases []string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Aliases: aliases, Args: verbOnly}
	cmd.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	cmd.AddCommand(verbs...)
	return cmd
}

// fillFlags sets what the command line left open: from the environment, then
// from the configuration file.
func (a *app) fillFlags(cmd *cobra.Command) error {
	if strings.HasPrefix(cmd.Name(), cobra.ShellCompRequestCmd) {
		return nil // a shell asks, nobody reads
	}
	c := settings.Of(cmd)
	c.Getenv, c.Environ, c.Warn = a.Getenv, a.Environ, a.say
	s := settings.New(c)
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
