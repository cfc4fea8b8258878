package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/table"
)

func newKeysCmd(a *app) *cobra.Command {
	show := func(w words, ask func(*manage.Client, context.Context) ([]manage.SigningKey, error)) *cobra.Command {
		return a.verb(w, func(cmd *cobra.Command, c *manage.Client, _ []string) error {
			keys, err := ask(c, cmd.Context())
			if err != nil {
				return err
			}
			t := table.Table{Head: []string{"KEY ID", "ALGORITHM", "STATE", "CREATED"}}
			for _, k := range keys {
				t.Rows = append(t.Rows, []string{k.ID, k.Algorithm, k.State, k.Created.Local().Format(time.DateTime)})
			}
			return a.print(keys, t)
		})
	}
	return noun("keys", "The token service's own signing keys", nil,
		show(words{"list", "List the keys that sign access tokens", ""}, (*manage.Client).SigningKeys),
		show(words{"rotate", "Sign with new keys from now on; tokens of the old ones stay good until they expire", ""}, (*manage.Client).RotateKeys))
}
