package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// deletedVault is a vault that can be recovered, as the management API shows it.
type deletedVault struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Properties struct {
		VaultID   string `json:"vaultId"`
		Location  string `json:"location"`
		Deleted   string `json:"deletionDate"`
		Purge     string `json:"scheduledPurgeDate"`
		Protected bool   `json:"purgeProtectionEnabled"`
	} `json:"properties"`
}

func deletedVaultTable(all ...deletedVault) table {
	t := table{head: []string{"NAME", "GROUP", "DELETED", "GONE"}}
	for _, v := range all {
		t.rows = append(t.rows, []string{v.Name, groupOf(v.Properties.VaultID), v.Properties.Deleted, v.Properties.Purge})
	}
	return t
}

func deletedVaults(ctx context.Context, c *client.Client) ([]whole[deletedVault], error) {
	return listAll[whole[deletedVault]](ctx, c, "/subscriptions/"+c.Subscription+"/providers/Microsoft.KeyVault/deletedVaults", vaultVersion)
}

func findDeletedVault(ctx context.Context, c *client.Client, name string) (deletedVault, error) {
	all, err := deletedVaults(ctx, c)
	if err != nil {
		return deletedVault{}, err
	}
	for _, v := range all {
		if strings.EqualFold(v.is.Name, name) {
			return v.is, nil
		}
	}
	return deletedVault{}, fault.WithHint(fault.Absent("no deleted vault %q", name), "lanyard vault list --deleted")
}

// vaultNameTaken adds to the server's refusal of a name who has it.
func vaultNameTaken(ctx context.Context, c *client.Client, err error, name string) error {
	if _, none := findDeletedVault(ctx, c, name); none != nil {
		return fault.WithHint(err, "choose another name; `lanyard vault list` shows those that are taken")
	}
	return fault.WithHint(err, "lanyard vault recover "+name+" brings it back; lanyard vault purge "+name+" destroys it, and frees the name")
}

func (a *app) listDeletedVaults(ctx context.Context, c *client.Client, group string) error {
	all, err := deletedVaults(ctx, c)
	if err != nil {
		return err
	}
	some := all[:0]
	for _, v := range all {
		if group == "" || strings.EqualFold(groupOf(v.is.Properties.VaultID), group) {
			some = append(some, v)
		}
	}
	return a.print(some, deletedVaultTable(parts(some)...))
}

// withDeletedVault is what a command does that takes the name of a deleted vault.
func (a *app) withDeletedVault(do func(context.Context, *client.Client, deletedVault) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		was, err := findDeletedVault(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, was)
	}
}

func newVaultRecoverCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "recover NAME", Short: "Bring a deleted vault back, with its secrets, where it was", Args: cobra.ExactArgs(1),
		Example: `  lanyard vault recover kv-dev`,
		RunE: a.withDeletedVault(func(ctx context.Context, c *client.Client, was deletedVault) error {
			var v whole[keyVault]
			body := map[string]any{"location": was.Properties.Location, "properties": map[string]any{
				"createMode": "recover", "tenantId": c.Tenant, "sku": map[string]string{"family": "A", "name": "standard"},
			}}
			err := c.ARM(ctx, "PUT", was.Properties.VaultID, vaultVersion, body, &v)
			if group := groupOf(was.Properties.VaultID); client.IsNotFound(err) {
				return fault.WithHint(fmt.Errorf("the vault %s was in the resource group %s, which is gone", was.Name, group), "lanyard group create "+shell.Quote(group))
			}
			if err != nil {
				return err
			}
			return a.print(v, vaultTable(v.is))
		}),
	}
}

func newVaultPurgeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "purge NAME", Short: "Destroy a deleted vault and all its secrets, for good", Args: cobra.ExactArgs(1),
		Example: `  lanyard vault purge kv-dev`,
		RunE: a.withDeletedVault(func(ctx context.Context, c *client.Client, was deletedVault) error {
			if was.Properties.Protected {
				return fault.WithHint(fmt.Errorf("the vault %s has purge protection", was.Name), "it goes by itself on "+was.Properties.Purge+"; until then lanyard vault recover brings it back")
			}
			return c.ARM(ctx, "POST", was.ID+"/purge", vaultVersion, nil, nil)
		}),
	}
}
