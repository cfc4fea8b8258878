package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// keyVault is what is read of a vault.
type keyVault struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Location   string `json:"location"`
	Properties struct {
		VaultURI  string         `json:"vaultUri"`
		Roles     bool           `json:"enableRbacAuthorization"`
		Protected bool           `json:"enablePurgeProtection"`
		Retention int            `json:"softDeleteRetentionInDays"`
		Policies  []accessPolicy `json:"accessPolicies"`
	} `json:"properties"`
}

func (v keyVault) access() string {
	if v.Properties.Roles {
		return "roles"
	}
	return "policies"
}

func vaultTable(all ...keyVault) table {
	t := table{head: []string{"NAME", "URL", "ACCESS", "ID"}}
	for _, v := range all {
		t.rows = append(t.rows, []string{v.Name, v.Properties.VaultURI, v.access(), v.ID})
	}
	return t
}

func newVaultCmd(a *app) *cobra.Command {
	var t target
	cmd := noun("vault", "Vaults: where secrets are kept", []string{"vaults"})
	addTarget(cmd.PersistentFlags(), &t)
	show := &cobra.Command{
		Use: "show NAME", Short: "Show a vault", Args: cobra.ExactArgs(1),
		Example: `  lanyard vault show kv-dev -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			v, _, err := find[keyVault](cmd.Context(), c, t, vaultKind(), args[0])
			if err != nil {
				return err
			}
			return a.print(v, vaultTable(v.is))
		},
	}
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete a vault; it can be recovered until its retention ends", Args: cobra.ExactArgs(1),
		Example: `  lanyard vault delete kv-dev`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			return t.drop(cmd.Context(), c, vaultKind(), args[0])
		},
	}
	cmd.AddCommand(newVaultCreateCmd(a, &t), newVaultUpdateCmd(a, &t), show, newVaultListCmd(a, &t), remove, newVaultRecoverCmd(a), newVaultPurgeCmd(a))
	return cmd
}

func newVaultListCmd(a *app, t *target) *cobra.Command {
	var deleted bool
	list := &cobra.Command{
		Use: "list", Short: "List all vaults, or those of the group that -g names", Args: cobra.NoArgs,
		Example: `  lanyard vault list
  lanyard vault list -g lab
  lanyard vault list --deleted`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			grouped := cmd.Flags().Changed("resource-group")
			if deleted {
				group := ""
				if grouped {
					group = t.group
				}
				return a.listDeletedVaults(cmd.Context(), c, group)
			}
			all, err := listOf[keyVault](cmd.Context(), c, *t, vaultKind(), grouped)
			if err != nil {
				return err
			}
			return a.print(all, vaultTable(parts(all)...))
		},
	}
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

// properties are those of the flags that the user gave.
func (v *vaultFlags) properties(f *pflag.FlagSet) map[string]any {
	p := map[string]any{}
	if f.Changed("roles") {
		p["enableRbacAuthorization"] = v.roles
	}
	if f.Changed("purge-protection") {
		p["enablePurgeProtection"] = v.purgeProtection
	}
	return p
}

func newVaultCreateCmd(a *app, t *target) *cobra.Command {
	var want vaultFlags
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a vault; with access policies, you get all secret permissions",
		Long: `Make a vault. With access policies you get all permissions for secrets; with --roles
somebody must give roles first, you included.

A vault that exists is left as it is, policies included. When it has other settings
than those that are asked for, the command fails; lanyard vault update changes them.`,
		Example: `  lanyard vault create kv-dev
  lanyard vault create kv-prod --roles --purge-protection`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if err := t.ensure(cmd.Context(), c); err != nil {
				return err
			}
			body, err := a.newVault(cmd.Context(), c, t, &want)
			if err != nil {
				return err
			}
			var v whole[keyVault]
			made, err := c.Create(cmd.Context(), t.vaultID(c, args[0]), vaultVersion, body, &v)
			if client.HasCode(err, "VaultAlreadyExists") {
				return vaultNameTaken(cmd.Context(), c, err, args[0])
			}
			if err != nil {
				return err
			}
			if !made {
				if err := sameVault(cmd.Flags(), v.is, &want, t.location); err != nil {
					return err
				}
				a.stays("vault", v.is.Name)
			}
			return a.print(v, vaultTable(v.is))
		},
	}
	want.add(create.Flags())
	create.Flags().IntVar(&want.retention, "retention-days", 90, "how long deleted secrets can be recovered, 7 to 90")
	return create
}

func (a *app) newVault(ctx context.Context, c *client.Client, t *target, want *vaultFlags) (map[string]any, error) {
	policies := []accessPolicy{}
	if !want.roles {
		me, err := a.principal(ctx, c)
		if err != nil {
			return nil, err
		}
		policies = append(policies, accessPolicy{TenantID: c.Tenant, ObjectID: me, Permissions: permissions{Secrets: []string{"all", "purge"}}})
	}
	properties := map[string]any{
		"tenantId": c.Tenant, "sku": map[string]string{"family": "A", "name": "standard"},
		"accessPolicies": policies, "enableRbacAuthorization": want.roles, "softDeleteRetentionInDays": want.retention,
	}
	if want.purgeProtection {
		properties["enablePurgeProtection"] = true
	}
	return map[string]any{"location": t.location, "properties": properties}, nil
}

// sameVault compares what was asked for with a vault that is there.
func sameVault(f *pflag.FlagSet, v keyVault, want *vaultFlags, location string) error {
	p := v.Properties
	update := "to change it: lanyard vault update " + v.Name + " -g " + shell.Quote(groupOf(v.ID))
	switch {
	case f.Changed("roles") && want.roles != p.Roles:
		return differs("vault", v.Name, v.access()+" for access", fmt.Sprintf("%s --roles=%t", update, want.roles))
	case f.Changed("purge-protection") && want.purgeProtection && !p.Protected:
		return differs("vault", v.Name, "no purge protection", update+" --purge-protection")
	case f.Changed("purge-protection") && !want.purgeProtection && p.Protected:
		return differs("vault", v.Name, "purge protection", "purge protection cannot be undone: leave the flag out, or choose another name")
	case f.Changed("retention-days") && want.retention != p.Retention:
		return differs("vault", v.Name, fmt.Sprintf("a retention of %d days", p.Retention),
			"a vault's retention cannot be changed: leave --retention-days out, or choose another name")
	case f.Changed("location") && !strings.EqualFold(location, v.Location):
		return differs("vault", v.Name, "the location "+v.Location, "a location cannot be changed: leave --location out, or choose another name")
	}
	return nil
}

func newVaultUpdateCmd(a *app, t *target) *cobra.Command {
	var want vaultFlags
	update := &cobra.Command{
		Use: "update NAME", Short: "Change a vault's settings; what is not named stays",
		Long: `Change the settings that are named; all others stay. With --roles the vault's access
policies are kept, and count again after --roles=false.`,
		Example: `  lanyard vault update kv-dev --roles
  lanyard vault update kv-dev --purge-protection`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			changed := want.properties(cmd.Flags())
			if len(changed) == 0 {
				return fault.WithHint(errors.New("nothing to change is named"), "--roles, --roles=false or --purge-protection")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			var v whole[keyVault]
			err = c.ARM(cmd.Context(), "PATCH", t.vaultID(c, args[0]), vaultVersion, map[string]any{"properties": changed}, &v)
			if client.IsNotFound(err) {
				err = t.missing(cmd.Context(), c, vaultKind(), args[0])
			}
			if err != nil {
				return err
			}
			return a.print(v, vaultTable(v.is))
		},
	}
	want.add(update.Flags())
	return update
}
