package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/prompt"
	"github.com/lanyard-io/lanyard/internal/table"
)

func secretTable(all ...manage.Secret) table.Table {
	t := table.Table{Head: []string{"NAME", "VERSION", "ENABLED", "UPDATED"}}
	for _, s := range all {
		updated := ""
		if s.Updated != nil {
			updated = s.Updated.Local().Format(time.DateTime)
		}
		t.Rows = append(t.Rows, []string{s.Name, s.Version, fmt.Sprint(s.Enabled), updated})
	}
	return t
}

func newSecretCmd(a *app) *cobra.Command {
	return noun("secret", "Secrets in a vault", []string{"secrets"}, a.secretSet(), a.secretGet(), a.secretList(),
		a.secretVerb(words{"versions VAULT NAME", "List a secret's versions, the newest first, without their values", `  lanyard secret versions kv-dev db-password
  lanyard secret get kv-dev db-password --version 0a1b2c3d4e5f60718293a4b5c6d7e8f9`},
			func(ctx context.Context, v manage.SecretVault, args []string) error {
				return a.printSecrets(v.Versions(ctx, args[1]))
			}),
		a.secretVerb(words{"delete VAULT NAME", "Delete a secret; it can be recovered until its retention ends", ""},
			func(ctx context.Context, v manage.SecretVault, args []string) error { return v.Delete(ctx, args[1]) }),
		a.secretVerb(words{"recover VAULT NAME", "Bring a deleted secret back", ""},
			func(ctx context.Context, v manage.SecretVault, args []string) error { return v.Recover(ctx, args[1]) }),
		a.secretVerb(words{"purge VAULT NAME", "Destroy a deleted secret, all versions, for good", ""},
			func(ctx context.Context, v manage.SecretVault, args []string) error { return v.Purge(ctx, args[1]) }))
}

// secretVerb is a command whose first argument is a vault.
func (a *app) secretVerb(w words, do func(context.Context, manage.SecretVault, []string) error, checks ...func([]string) error) *cobra.Command {
	return a.verb(w, func(cmd *cobra.Command, c *manage.Client, args []string) error {
		vault, err := c.SecretVault(args[0])
		if err != nil {
			return err
		}
		return do(cmd.Context(), vault, args)
	}, checks...)
}

func (a *app) printSecrets(all []manage.Secret, err error) error {
	if err != nil {
		return err
	}
	return a.print(all, secretTable(all...))
}

func (a *app) secretSet() *cobra.Command {
	var file, contentType, value string
	read := func([]string) (err error) {
		value, err = prompt.Prompt{In: a.In, Out: a.Err}.Value(file)
		return err
	}
	set := a.secretVerb(words{"set VAULT NAME", "Store a new version of a secret; the value comes from a file, standard input or a prompt", `  printf %s "$VALUE" | lanyard secret set kv-dev db-password
  lanyard secret set kv-dev tls-key --file tls.key
  lanyard secret set kv-dev db-password          # asks`},
		func(ctx context.Context, v manage.SecretVault, args []string) error {
			s, err := v.Set(ctx, args[1], value, contentType)
			if err != nil {
				return err
			}
			return a.print(s, secretTable(s))
		}, read)
	set.Long = `Store a new version of a secret. The value is read from --file, from standard
input, or, at a terminal, from a prompt that does not show it. It is never an
argument: other users can read those in the list of processes.

The value is kept byte for byte, a line break at its end included: printf %s
writes none, echo writes one.`
	set.Flags().StringVar(&file, "file", "", "`file` with the value, byte for byte; - for standard input")
	set.Flags().StringVar(&contentType, "content-type", "", "a note on what the value is")
	return set
}

func (a *app) secretGet() *cobra.Command {
	var version string
	get := a.secretVerb(words{"get VAULT NAME", "Print a secret's value, and nothing else", `  lanyard secret get kv-dev db-password
  lanyard secret get kv-dev db-password -o json`},
		func(ctx context.Context, v manage.SecretVault, args []string) error {
			s, err := v.Get(ctx, args[1], version)
			if err != nil {
				return err
			}
			if a.whole() {
				return a.print(s, table.Table{})
			}
			end := ""
			if prompt.IsTerminal(a.Out) {
				end = "\n"
			}
			_, err = fmt.Fprint(a.Out, s.Value, end)
			return err
		})
	get.Aliases = []string{"show"}
	get.Long = `Print a secret's value, byte for byte; at a terminal, a line break comes after it.`
	get.Flags().StringVar(&version, "version", "", "`id` of an older version (default the latest)")
	return get
}

func (a *app) secretList() *cobra.Command {
	var deleted bool
	list := a.secretVerb(words{"list VAULT", "List a vault's secrets, without their values", `  lanyard secret list kv-dev
  lanyard secret list kv-dev --deleted`},
		func(ctx context.Context, v manage.SecretVault, _ []string) error {
			if deleted {
				return a.printSecrets(v.Deleted(ctx))
			}
			return a.printSecrets(v.List(ctx))
		})
	list.Flags().BoolVar(&deleted, "deleted", false, "list deleted secrets that can be recovered")
	return list
}
