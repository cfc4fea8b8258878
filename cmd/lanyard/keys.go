package main

import (
	"time"

	"github.com/spf13/cobra"
)

// signingKey is one of the token service's keys, as the management API shows it.
type signingKey struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"alg"`
	State     string    `json:"state"` // prepared, active or retired
	Created   time.Time `json:"created"`
}

func newKeysCmd(a *app) *cobra.Command {
	show := func(cmd *cobra.Command, method, path string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		var keys struct {
			Value []signingKey `json:"value"`
		}
		if err := c.ARM(cmd.Context(), method, path, lanyardVersion, nil, &keys); err != nil {
			return err
		}
		t := table{head: []string{"KEY ID", "ALGORITHM", "STATE", "CREATED"}}
		for _, k := range keys.Value {
			t.rows = append(t.rows, []string{k.ID, k.Algorithm, k.State, k.Created.Local().Format(time.DateTime)})
		}
		return a.print(keys.Value, t)
	}
	const path = "/providers/Lanyard.Trust/signingKeys"
	list := &cobra.Command{
		Use: "list", Short: "List the keys that sign access tokens", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return show(cmd, "GET", path) },
	}
	rotate := &cobra.Command{
		Use: "rotate", Short: "Sign with new keys from now on; tokens of the old ones stay good until they expire",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return show(cmd, "POST", path+"/rotate") },
	}
	return noun("keys", "The token service's own signing keys", nil, list, rotate)
}
