package main

import (
	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/obs"
)

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print what this program was built from", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := obs.Build()
			return a.print(b, table{head: []string{"VERSION", "COMMIT", "GO"}, rows: [][]string{{b.Version, b.Commit, b.Go}}})
		},
	}
}
