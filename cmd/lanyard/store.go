package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/prompt"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/shell"
)

func newStoreCmd(a *app) *cobra.Command {
	return noun("store", "Back the store up, bring it back, and move it", nil, newSnapshotCmd(a), newRestoreCmd(a), newStoreCopyCmd(a))
}

func newSnapshotCmd(a *app) *cobra.Command {
	var c server.Config
	snapshot := &cobra.Command{
		Use: "snapshot FILE", Short: "Write everything that is stored to one file",
		Long: `Write a snapshot of the store to FILE, while the server runs or when it is stopped;
- is standard output, for a pod that has no shell. Secret values and private keys in
it are encrypted: to use the snapshot again you also need the key file
(DATA-DIR/seal.key, or lanyard seal export). Keep the two apart.`,
		Example: `  lanyard store snapshot backup-$(date +%F).db
  lanyard store snapshot backup.db --etcd-endpoints https://etcd-0:2379 --etcd-ca ca.pem
  kubectl -n lanyard exec lanyard-0 -- lanyard store snapshot - > backup.db`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.DataDir = a.dataDir
			if args[0] == "-" {
				if err := a.noTerminal(); err != nil {
					return err
				}
				return fault.WithHint(server.SnapshotTo(cmd.Context(), c, a.Out), "what was written is no snapshot: remove it")
			}
			if err := server.Snapshot(cmd.Context(), c, args[0]); err != nil {
				return outError(err)
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			a.say("wrote %s (%d bytes); the key file is not in it", args[0], info.Size())
			return nil
		},
	}
	addEtcdFlags(snapshot.Flags(), &c)
	return snapshot
}

func newRestoreCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "restore FILE", Short: "Make a new data directory from a snapshot",
		Long: `Make the store of a new data directory from a snapshot file; - is standard input.
The directory must not hold a store yet. Put the key file that belongs to the snapshot
at DATA-DIR/seal.key, then start the server. A snapshot that was cut short is refused.

For an external etcd, restore with etcdutl and start lanyard on it.`,
		Example: `  lanyard store restore backup.db --data-dir /var/lib/lanyard-new
  cp seal.key /var/lib/lanyard-new/ && lanyard up --data-dir /var/lib/lanyard-new`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.restore(cmd.Context(), args[0]); err != nil {
				return err
			}
			a.say("restored into %s", a.dataDir)
			if _, err := os.Stat(server.Dir(a.dataDir).KeyFile()); err != nil {
				a.say("now put the snapshot's key file at %s, then: lanyard up --data-dir %s", server.Dir(a.dataDir).KeyFile(), shell.Quote(a.dataDir))
			}
			return nil
		},
	}
}

func (a *app) restore(ctx context.Context, file string) error {
	if file != "-" {
		return server.Restore(ctx, a.dataDir, file)
	}
	if prompt.IsTerminal(a.In) {
		return fault.WithHint(errors.New("standard input is a terminal"), "lanyard store restore - < FILE")
	}
	return server.RestoreFrom(ctx, a.dataDir, a.In)
}

func newStoreCopyCmd(a *app) *cobra.Command {
	var (
		c    server.Config
		from string
	)
	cmd := &cobra.Command{
		Use: "copy", Short: "Copy the embedded store to an external etcd",
		Long: `Copy the store of the data directory, whose server is stopped, to the external
etcd of --etcd-endpoints, under a prefix where nothing is yet. Then start the
server with the same etcd flags on the same data directory. A copy that was cut
off is taken for a store by nobody: run it again. The embedded store stays as it was.`,
		Example: `  lanyard store copy --etcd-endpoints https://etcd-0:2379 --etcd-ca ca.pem`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.DataDir = a.dataDir
			copied := 0
			if err := server.Copy(cmd.Context(), c, from, func(keys int) { copied = keys }); err != nil {
				return err
			}
			a.say("copied %d keys; now start the server with the same --etcd flags", copied)
			return nil
		},
	}
	addEtcdFlags(cmd.Flags(), &c)
	cmd.Flags().StringVar(&from, "from-prefix", "", "`prefix` of the embedded store's keys (default /lanyard)")
	return cmd
}

func newSealCmd(a *app) *cobra.Command {
	var c server.Config
	rotate := &cobra.Command{
		Use: "rotate", Short: "Encrypt everything again with a new data key",
		Long: `Make a new data key and encrypt every secret value and private key with it. With
the embedded etcd, stop the server first; with an external one it may run.`,
		Example: `  lanyard seal rotate`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.DataDir = a.dataDir
			began := false
			n, err := server.RotateDataKey(cmd.Context(), c, func(done, all int) {
				began = true
				fmt.Fprintf(a.Err, "\rsealed %d of %d", done, all)
			})
			if began {
				fmt.Fprintln(a.Err)
				err = fault.WithHint(err, "what was done stays done; run it again to go on")
			}
			if err != nil {
				return err
			}
			a.say("%d values are sealed with the new data key", n)
			return nil
		},
	}
	rekey := &cobra.Command{
		Use: "rekey", Short: "Replace the key file by a new one",
		Long: `Make a new key-encryption key and wrap the data keys with it. Values need not be
encrypted again. With the embedded etcd, stop the server first; with an external
one, copy the new key file to every server before the next restart.`,
		Example: `  lanyard seal rekey`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.DataDir = a.dataDir
			path, err := server.Rekey(cmd.Context(), c)
			if err != nil {
				return err
			}
			a.say("%s holds the new key; keep a copy of it apart from the backups", path)
			return nil
		},
	}
	for _, cmd := range []*cobra.Command{rotate, rekey} {
		addEtcdFlags(cmd.Flags(), &c)
		cmd.Flags().StringVar(&c.KeyFile, "key-file", "", "key-encryption key `file` (default DATA-DIR/seal.key)")
	}
	return noun("seal", "The keys that encrypt what is stored", nil, rotate, rekey, newSealExportCmd(a))
}

func newSealExportCmd(a *app) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "export", Short: "Print the key file, to keep apart from the backups",
		Long: `Print the key file, for a pod that has no shell to copy it with. With a snapshot it
opens everything that is stored: keep the two apart.`,
		Example: `  (umask 077; kubectl -n lanyard exec lanyard-0 -- lanyard seal export > seal.key)`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := readDataFile(cmp.Or(path, server.Dir(a.dataDir).KeyFile()), "name it with --key-file, as for lanyard up")
			return a.printBytes(b, err)
		},
	}
	cmd.Flags().StringVar(&path, "key-file", "", "key-encryption key `file` (default DATA-DIR/seal.key)")
	return cmd
}
