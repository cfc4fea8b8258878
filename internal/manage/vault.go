package manage

import (
	"context"
	"fmt"
	"strings"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// Vault is what is read of a vault, and what one is made of.
type Vault struct {
	ID         string          `json:"id,omitempty"`
	Name       string          `json:"name,omitempty"`
	Location   string          `json:"location"`
	Properties VaultProperties `json:"properties"`
}

// VaultProperties of a new vault need no tenant and no SKU: there is one of each.
type VaultProperties struct {
	TenantID  string            `json:"tenantId"`
	SKU       map[string]string `json:"sku"`
	URI       string            `json:"vaultUri,omitempty"`
	Roles     bool              `json:"enableRbacAuthorization"`
	Protected bool              `json:"enablePurgeProtection,omitempty"`
	Retention int               `json:"softDeleteRetentionInDays,omitempty"` // days; 0 for the server's
	Policies  []Policy          `json:"accessPolicies"`
}

// Access is how a vault decides: by roles or by policies.
func (v Vault) Access() string {
	if v.Properties.Roles {
		return "roles"
	}
	return "policies"
}

func standardSKU() map[string]string { return map[string]string{"family": "A", "name": "standard"} }

// Vaults are a group's; without a group, all can be listed.
func (c *Client) Vaults(group string) Collection[Vault] {
	return inGroup[Vault](c, group, vaultKind())
}

// NewVault is a vault to create in this tenant.
func (c *Client) NewVault(location string, p VaultProperties) Vault {
	p.TenantID, p.SKU = c.Tenant, standardSKU()
	if p.Policies == nil {
		p.Policies = []Policy{}
	}
	return Vault{Location: location, Properties: p}
}

// CreateVault makes a vault. When it is there already nothing is changed: made is
// false, and got is what there is. An error that the name is taken says by whom.
func (c *Client) CreateVault(ctx context.Context, group, name string, v Vault) (got Whole[Vault], made bool, err error) {
	got, made, err = c.Vaults(group).Create(ctx, name, v)
	if client.HasCode(err, "VaultAlreadyExists") {
		hint := "choose another name; `lanyard vault list` shows those that are taken"
		if _, none := c.DeletedVault(ctx, name); none == nil {
			hint = "lanyard vault recover " + name + " brings it back; lanyard vault purge " + name + " destroys it, and frees the name"
		}
		err = fault.WithHint(err, hint)
	}
	return got, made, err
}

// VaultChange is what is to change of a vault: nil stays.
type VaultChange struct {
	Roles     *bool `json:"enableRbacAuthorization,omitempty"`
	Protected *bool `json:"enablePurgeProtection,omitempty"`
}

// UpdateVault changes a vault's settings.
func (c *Client) UpdateVault(ctx context.Context, group, name string, change VaultChange) (Whole[Vault], error) {
	return c.Vaults(group).patch(ctx, name, map[string]any{"properties": change})
}

// DeletedVault is a vault that can be recovered.
type DeletedVault struct {
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

// Group is the resource group that the vault was in.
func (v DeletedVault) Group() string { return GroupOf(v.Properties.VaultID) }

// DeletedVaults are those of one group, or all.
func (c *Client) DeletedVaults(ctx context.Context, group string) ([]Whole[DeletedVault], error) {
	path := c.subscription() + "/providers/Microsoft.KeyVault/deletedVaults"
	all, err := Collection[DeletedVault]{api: c.ResourceManager(vaultVersion), path: path}.List(ctx)
	some := all[:0]
	for _, v := range all {
		if group == "" || strings.EqualFold(v.Is.Group(), group) {
			some = append(some, v)
		}
	}
	return some, err
}

// DeletedVault finds one by its name.
func (c *Client) DeletedVault(ctx context.Context, name string) (DeletedVault, error) {
	all, err := c.DeletedVaults(ctx, "")
	if err != nil {
		return DeletedVault{}, err
	}
	for _, v := range all {
		if strings.EqualFold(v.Is.Name, name) {
			return v.Is, nil
		}
	}
	return DeletedVault{}, fault.WithHint(fault.Absent("no deleted vault %q", name), "lanyard vault list --deleted")
}

// RecoverVault brings a deleted vault back, with its secrets, where it was.
func (c *Client) RecoverVault(ctx context.Context, was DeletedVault) (got Whole[Vault], err error) {
	got, err = c.Vaults(was.Group()).call(ctx, "PUT", was.Properties.VaultID, nil, map[string]any{
		"location": was.Properties.Location, "properties": map[string]any{"createMode": "recover", "tenantId": c.Tenant, "sku": standardSKU()},
	})
	if client.IsNotFound(err) {
		return got, fault.WithHint(fmt.Errorf("the vault %s was in the resource group %s, which is gone", was.Name, was.Group()),
			"lanyard group create "+shell.Quote(was.Group()))
	}
	return got, err
}

// PurgeVault destroys a deleted vault and all its secrets, for good.
func (c *Client) PurgeVault(ctx context.Context, was DeletedVault) error {
	if was.Properties.Protected {
		return fault.WithHint(fmt.Errorf("the vault %s has purge protection", was.Name),
			"it goes by itself on "+was.Properties.Purge+"; until then lanyard vault recover brings it back")
	}
	_, err := c.ResourceManager(vaultVersion).Call(ctx, "POST", was.ID+"/purge", nil, nil, nil)
	return err
}
