package main

import (
	"github.com/spf13/cobra"
)

// keyVault is a vault as ARM shows it; what we do not read is kept as it is.
type keyVault struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Location   string `json:"location"`
	Properties struct {
		VaultURI string         `json:"vaultUri"`
		Roles    bool           `json:"enableRbacAuthorization"`
		Policies []accessPolicy `json:"accessPolicies"`
	} `json:"properties"`
}

func vaultTable(all ...keyVault) table {
	t := table{head: []string{"NAME", "URL", "ACCESS", "ID"}}
	for _, v := range all {
		mode := "policies"
		if v.Properties.Roles {
			mode = "roles"
		}
		t.rows = append(t.rows, []string{v.Name, v.Properties.VaultURI, mode, v.ID})
	}
	return t
}

func newVaultCmd(a *app) *cobra.Command {
	var t target
	cmd := noun("vault", "Vaults: where secrets are kept", []string{"vaults"})
	addTarget(cmd.PersistentFlags(), &t)

	var roles, purgeProtection bool
	var retention int
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a vault; with access policies, you get all secret permissions",
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
			policies := []accessPolicy{}
			if !roles {
				me, err := a.principal(cmd.Context(), c)
				if err != nil {
					return err
				}
				policies = append(policies, accessPolicy{TenantID: c.Tenant, ObjectID: me, Permissions: permissions{Secrets: []string{"all", "purge"}}})
			}
			properties := map[string]any{
				"tenantId": c.Tenant, "sku": map[string]string{"family": "A", "name": "standard"},
				"accessPolicies": policies, "enableRbacAuthorization": roles, "softDeleteRetentionInDays": retention,
			}
			if purgeProtection {
				properties["enablePurgeProtection"] = true
			}
			var v keyVault
			body := map[string]any{"location": t.location, "properties": properties}
			if err := c.ARM(cmd.Context(), "PUT", t.vaultID(c, args[0]), vaultVersion, body, &v); err != nil {
				return err
			}
			return a.print(v, vaultTable(v))
		},
	}
	create.Flags().BoolVar(&roles, "roles", false, "role-based access in place of access policies")
	create.Flags().BoolVar(&purgeProtection, "purge-protection", false, "deleted secrets cannot be purged early; cannot be undone")
	create.Flags().IntVar(&retention, "retention-days", 90, "how long deleted secrets can be recovered, 7 to 90")

	show := &cobra.Command{
		Use: "show NAME", Short: "Show a vault", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			var v keyVault
			if err := c.ARM(cmd.Context(), "GET", t.vaultID(c, args[0]), vaultVersion, nil, &v); err != nil {
				return err
			}
			return a.print(v, vaultTable(v))
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List all vaults", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			path := "/subscriptions/" + c.Subscription + "/providers/Microsoft.KeyVault/vaults"
			all, err := listAll[keyVault](cmd.Context(), c, path, vaultVersion)
			if err != nil {
				return err
			}
			return a.print(all, vaultTable(all...))
		},
	}
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete a vault; it can be recovered until its retention ends", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			return c.ARM(cmd.Context(), "DELETE", t.vaultID(c, args[0]), vaultVersion, nil, nil)
		},
	}
	cmd.AddCommand(create, show, list, remove)
	return cmd
}
