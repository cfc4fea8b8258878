package main

import (
	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/table"
)

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print what this program was built from", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := obs.Build()
			return a.print(b, table.Table{Head: []string{"VERSION", "COMMIT", "GO"}, Rows: [][]string{{b.Version, b.Commit, b.Go}}})
		},
	}
}
