package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/demo"

	"github.com/lanyard-io/lanyard/internal/prompt"
)

func newDemoCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the whole chain in seconds: a workload gets its secret with no stored secret",
		Long: `Start a server in a temporary directory, play a cluster, make an identity, a vault
and a federated credential, and run the sample workload in a process of its own.
Then show three refusals. Nothing is left behind.`,
		Example: `  lanyard demo`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			return demo.Run(cmd.Context(), demo.Config{
				Out: a.Out, Color: prompt.IsTerminal(a.Out) && a.Getenv("NO_COLOR") == "",
				Workload: []string{self, "quickstart", "--once"},
			})
		},
	}
}
