package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newTokenCmd(a *app) *cobra.Command {
	var resource string
	cmd := &cobra.Command{
		Use: "token", Short: "Print an access token, to try an API by hand",
		Example: `  curl -H "Authorization: Bearer $(lanyard token)" \
      "https://management.lanyard.localhost/subscriptions?api-version=2022-12-01"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			var token string
			if resource == "" {
				token, err = c.ManagementToken(cmd.Context())
			} else {
				token, err = c.Token(cmd.Context(), resource)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.Out, token)
			return err
		},
	}
	cmd.Flags().StringVar(&resource, "resource", "", "the `audience`, such as https://vault.DOMAIN (default the management API)")
	return cmd
}
