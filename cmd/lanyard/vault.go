package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/shell"
)

func vaults() *things[manage.Vault] {
	return &things[manage.Vault]{
		noun: "vault", in: (*manage.Client).Vaults,
		head:  []string{"NAME", "URL", "ACCESS", "ID"},
		cells: func(v manage.Vault) []string { return []string{v.Name, v.Properties.URI, v.Access(), v.ID} },
	}
}

func deletedVaults() *things[manage.DeletedVault] {
	return &things[manage.DeletedVault]{
		noun: "deleted vault",
		head: []string{"NAME", "GROUP", "DELETED", "GONE"},
		cells: func(v manage.DeletedVault) []string {
			return []string{v.Name, v.Group(), v.Properties.Deleted, v.Properties.Purge}
		},
	}
}

func newVaultCmd(a *app) *cobra.Command {
	var t target
	all := vaults()
	cmd := noun("vault", "Vaults: where secrets are kept", []string{"vaults"})
	addTarget(cmd.PersistentFlags(), &t)
	cmd.AddCommand(newVaultCreateCmd(a, &t, all), newVaultUpdateCmd(a, &t, all),
		showVerb(a, all, words{"show NAME", "Show a vault", `  lanyard vault show kv-dev -o json`}), newVaultListCmd(a, all),
		deleteVerb(a, all, words{"delete NAME", "Delete a vault; it can be recovered until its retention ends", `  lanyard vault delete kv-dev`}),
		newVaultRecoverCmd(a, all), newVaultPurgeCmd(a))
	return cmd
}

func newVaultListCmd(a *app, all *things[manage.Vault]) *cobra.Command {
	var deleted bool
	list := a.verb(words{"list", "List all vaults, or those of the group that -g names", `  lanyard vault list
  lanyard vault list -g lab
  lanyard vault list --deleted`},
		func(cmd *cobra.Command, c *manage.Client, _ []string) error {
			if !deleted {
				return all.list(a, cmd, c)
			}
			found, err := c.DeletedVaults(cmd.Context(), namedGroup(cmd))
			if err != nil {
				return err
			}
			return a.print(found, deletedVaults().table(manage.Parts(found)...))
		})
	list.Flags().BoolVar(&deleted, "deleted", false, "list deleted vaults that can be recovered")
	return list
}

// vaultFlags are the settings that a vault is made with.
type vaultFlags struct {
	roles, purgeProtection bool
	retention              int
}

func (v *vaultFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&v.roles, "roles", false, "role-based access in place of access policies")
	f.BoolVar(&v.purgeProtection, "purge-protection", false, "deleted secrets cannot be purged early; cannot be undone")
}

func newVaultCreateCmd(a *app, t *target, all *things[manage.Vault]) *cobra.Command {
	var want vaultFlags
	create := a.verb(words{"create NAME", "Make a vault; with access policies, you get all secret permissions", `  lanyard vault create kv-dev
  lanyard vault create kv-prod --roles --purge-protection`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			if err := c.EnsureGroup(cmd.Context(), t.group, t.location); err != nil {
				return err
			}
			p := manage.VaultProperties{Roles: want.roles, Protected: want.purgeProtection, Retention: want.retention}
			if !want.roles {
				me, err := c.Me(cmd.Context())
				if err != nil {
					return err
				}
				p.Policies = []manage.Policy{c.SecretPolicy(me, "all", "purge")}
			}
			got, made, err := c.CreateVault(cmd.Context(), t.group, args[0], c.NewVault(t.location, p))
			if err != nil {
				return err
			}
			return all.created(a, got.Is.Name, got, made, func(v manage.Vault) error { return sameVault(cmd, v, &want) })
		})
	create.Long = `Make a vault. With access policies you get all permissions for secrets; with --roles
somebody must give roles first, you included.

A vault that exists is left as it is, policies included. When it has other settings
than those that are asked for, the command fails; lanyard vault update changes them.`
	want.add(create.Flags())
	create.Flags().IntVar(&want.retention, "retention-days", 90, "how long deleted secrets can be recovered, 7 to 90")
	return create
}

// sameVault compares what was asked for with a vault that is there.
func sameVault(cmd *cobra.Command, v manage.Vault, want *vaultFlags) error {
	f, p := cmd.Flags(), v.Properties
	update := "to change it: lanyard vault update " + v.Name + " -g " + shell.Quote(manage.GroupOf(v.ID))
	switch {
	case f.Changed("roles") && want.roles != p.Roles:
		return differs("vault", v.Name, v.Access()+" for access", fmt.Sprintf("%s --roles=%t", update, want.roles))
	case f.Changed("purge-protection") && want.purgeProtection && !p.Protected:
		return differs("vault", v.Name, "no purge protection", update+" --purge-protection")
	case f.Changed("purge-protection") && !want.purgeProtection && p.Protected:
		return differs("vault", v.Name, "purge protection", "purge protection cannot be undone: leave the flag out, or choose another name")
	case f.Changed("retention-days") && want.retention != p.Retention:
		return differs("vault", v.Name, fmt.Sprintf("a retention of %d days", p.Retention),
			"a vault's retention cannot be changed: leave --retention-days out, or choose another name")
	}
	return otherLocation(cmd, "vault", v.Name, v.Location)
}

func newVaultUpdateCmd(a *app, t *target, all *things[manage.Vault]) *cobra.Command {
	var want vaultFlags
	var change manage.VaultChange
	var update *cobra.Command
	check := func([]string) error {
		if update.Flags().Changed("roles") {
			change.Roles = &want.roles
		}
		if update.Flags().Changed("purge-protection") {
			change.Protected = &want.purgeProtection
		}
		if change == (manage.VaultChange{}) {
			return fault.WithHint(errors.New("nothing to change is named"), "--roles, --roles=false or --purge-protection")
		}
		return nil
	}
	update = a.verb(words{"update NAME", "Change a vault's settings; what is not named stays", `  lanyard vault update kv-dev --roles
  lanyard vault update kv-dev --purge-protection`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			got, err := c.UpdateVault(cmd.Context(), t.group, args[0], change)
			if err != nil {
				return err
			}
			return all.print(a, got)
		}, check)
	update.Long = `Change the settings that are named; all others stay. With --roles the vault's access
policies are kept, and count again after --roles=false.`
	want.add(update.Flags())
	return update
}

func newVaultRecoverCmd(a *app, all *things[manage.Vault]) *cobra.Command {
	return a.verb(words{"recover NAME", "Bring a deleted vault back, with its secrets, where it was", `  lanyard vault recover kv-dev`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			was, err := c.DeletedVault(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			got, err := c.RecoverVault(cmd.Context(), was)
			if err != nil {
				return err
			}
			return all.print(a, got)
		})
}

func newVaultPurgeCmd(a *app) *cobra.Command {
	return a.verb(words{"purge NAME", "Destroy a deleted vault and all its secrets, for good", `  lanyard vault purge kv-dev`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			was, err := c.DeletedVault(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.PurgeVault(cmd.Context(), was)
		})
}
