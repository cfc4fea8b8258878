package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/quickstart"
)

func newQuickstartCmd(a *app) *cobra.Command {
	var once bool
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Run the sample workload: read one secret with the public Azure SDK",
		Long: `Read the secret SECRET_NAME of the vault KEYVAULT_URL every minute and log it. The
workload has no credential: it signs in with the token and the AZURE_ variables
that a pod gets from the webhook.`,
		Example: `  KEYVAULT_URL=https://kv.vault.lanyard.localhost/ SECRET_NAME=mysecret lanyard quickstart --once`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := quickstart.FromEnv(a.Getenv)
			if err != nil {
				return fault.WithHint(err, "set KEYVAULT_URL and SECRET_NAME in the pod; the AZURE_ variables come from the webhook (label azure.workload.identity/use=true)")
			}
			if c.Interval = interval; once {
				c.Interval = 0
			}
			return quickstart.Run(cmd.Context(), c)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "read once and stop")
	cmd.Flags().DurationVar(&interval, "interval", time.Minute, "pause between two reads")
	return cmd
}
