package main

import (
	"context"
	"errors"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/keyvault/armkeyvault"
)

func newVault(roles bool) armkeyvault.VaultCreateOrUpdateParameters {
	return armkeyvault.VaultCreateOrUpdateParameters{Location: to.Ptr(location), Properties: &armkeyvault.VaultProperties{
		TenantID: to.Ptr(os.Getenv("AZURE_TENANT_ID")), EnableRbacAuthorization: to.Ptr(roles),
		SKU: &armkeyvault.SKU{Family: to.Ptr(armkeyvault.SKUFamilyA), Name: to.Ptr(armkeyvault.SKUNameStandard)}, AccessPolicies: []*armkeyvault.AccessPolicyEntry{},
	}}
}

// createVault waits as the SDK does.
func (m *manager) createVault(ctx context.Context, group, name string, v armkeyvault.VaultCreateOrUpdateParameters) (armkeyvault.VaultsClientCreateOrUpdateResponse, error) {
	poller, err := m.vault.NewVaultsClient().BeginCreateOrUpdate(ctx, group, name, v, nil)
	if err != nil {
		return armkeyvault.VaultsClientCreateOrUpdateResponse{}, err
	}
	return poller.PollUntilDone(ctx, nil)
}

func (m *manager) vaults() error {
	c := m.vault.NewVaultsClient()
	name := armkeyvault.VaultCheckNameAvailabilityParameters{Name: to.Ptr("kv-go-1"), Type: to.Ptr("Microsoft.KeyVault/vaults")}
	free, err := c.CheckNameAvailability(m.ctx, name, nil)
	if err != nil {
		return err
	}
	_, missing := c.Get(m.ctx, m.group, "kv-go-1", nil)
	for _, name := range []string{"kv-go-1", "kv-go-2", "kv-go-3"} {
		made, err := m.createVault(m.ctx, m.group, name, newVault(false))
		if err != nil {
			return err
		}
		if err := check("vault created", *made.Properties.ProvisioningState == "Succeeded" && *made.Properties.VaultURI != "", made); err != nil {
			return err
		}
	}
	_, elsewhere := m.createVault(m.ctx, m.group+"-2", "kv-go-1", newVault(false))
	taken, err := c.CheckNameAvailability(m.ctx, name, nil)
	if err != nil {
		return err
	}
	etag, err := m.tagged(func(ctx context.Context) error {
		_, err := c.Get(ctx, m.group, "kv-go-1", nil)
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(
		check("vault name", *free.NameAvailable && !*taken.NameAvailable, *taken.NameAvailable),
		fails("vault missing", missing, 404, "ResourceNotFound"),
		fails("vault name in use", elsewhere, 409, "VaultAlreadyExists"),
		m.twoWriters("vault etag", etag, func(ctx context.Context, value string) error {
			_, err := c.Update(ctx, m.group, "kv-go-1", armkeyvault.VaultPatchParameters{Tags: tags(value)}, nil)
			return err
		}),
		m.policies(c),
		all(m, "vault pages of a group", c.NewListByResourceGroupPager(m.group, &armkeyvault.VaultsClientListByResourceGroupOptions{Top: to.Ptr[int32](2)}),
			func(p armkeyvault.VaultsClientListByResourceGroupResponse) []*string {
				return namesOf(p.Value, func(v *armkeyvault.Vault) *string { return v.Name })
			}, "kv-go-1", "kv-go-2", "kv-go-3"),
		all(m, "vault pages", c.NewListBySubscriptionPager(&armkeyvault.VaultsClientListBySubscriptionOptions{Top: to.Ptr[int32](2)}),
			func(p armkeyvault.VaultsClientListBySubscriptionResponse) []*string {
				return namesOf(p.Value, func(v *armkeyvault.Vault) *string { return v.Name })
			}, "kv-go-1", "kv-go-2", "kv-go-3"),
		all(m, "vaults as resources", c.NewListPager(&armkeyvault.VaultsClientListOptions{Top: to.Ptr[int32](2)}),
			func(p armkeyvault.VaultsClientListResponse) []*string {
				return namesOf(p.Value, func(r *armkeyvault.Resource) *string { return r.Name })
			}, "kv-go-1", "kv-go-2", "kv-go-3"),
	)
}

// policies lets the identity get secrets, and takes it back.
func (m *manager) policies(c *armkeyvault.VaultsClient) error {
	i, err := m.identity.NewUserAssignedIdentitiesClient().Get(m.ctx, m.group, web, nil)
	if err != nil {
		return err
	}
	change := armkeyvault.VaultAccessPolicyParameters{Properties: &armkeyvault.VaultAccessPolicyProperties{AccessPolicies: []*armkeyvault.AccessPolicyEntry{{
		TenantID: i.Properties.TenantID, ObjectID: i.Properties.PrincipalID,
		Permissions: &armkeyvault.Permissions{Secrets: []*armkeyvault.SecretPermissions{to.Ptr(armkeyvault.SecretPermissionsGet)}},
	}}}}
	count := func(kind armkeyvault.AccessPolicyUpdateKind) (int, error) {
		if _, err := c.UpdateAccessPolicy(m.ctx, m.group, "kv-go-1", kind, change, nil); err != nil {
			return 0, err
		}
		v, err := c.Get(m.ctx, m.group, "kv-go-1", nil)
		if err != nil {
			return 0, err
		}
		return len(v.Properties.AccessPolicies), nil
	}
	added, err := count(armkeyvault.AccessPolicyUpdateKindAdd)
	if err != nil {
		return err
	}
	removed, err := count(armkeyvault.AccessPolicyUpdateKindRemove)
	return errors.Join(err, check("vault policies", added == 1 && removed == 0, []int{added, removed}))
}

func (m *manager) deletedVaults() error {
	c := m.vault.NewVaultsClient()
	for _, name := range []string{"kv-go-1", "kv-go-2", "kv-go-3"} {
		if _, err := c.Delete(m.ctx, m.group, name, nil); err != nil {
			return err
		}
	}
	_, gone := c.Get(m.ctx, m.group, "kv-go-1", nil)
	_, taken := m.createVault(m.ctx, m.group, "kv-go-1", newVault(false))
	deleted, err := c.GetDeleted(m.ctx, "kv-go-1", location, nil)
	if err != nil {
		return err
	}
	err = errors.Join(
		fails("vault gone", gone, 404, "ResourceNotFound"),
		fails("vault name kept", taken, 409, "VaultAlreadyExists"),
		check("deleted vault", *deleted.Properties.Location == location && !deleted.Properties.ScheduledPurgeDate.IsZero(), deleted),
		all(m, "deleted vault pages", c.NewListDeletedPager(nil), func(p armkeyvault.VaultsClientListDeletedResponse) []*string {
			return namesOf(p.Value, func(v *armkeyvault.DeletedVault) *string { return v.Name })
		}, "kv-go-1", "kv-go-2", "kv-go-3"),
	)
	if err != nil {
		return err
	}
	back := newVault(false)
	back.Properties.CreateMode = to.Ptr(armkeyvault.CreateModeRecover)
	recovered, err := m.createVault(m.ctx, m.group, "kv-go-1", back)
	if err != nil {
		return err
	}
	poller, err := c.BeginPurgeDeleted(m.ctx, "kv-go-2", location, nil)
	if err != nil {
		return err
	}
	if _, err := poller.PollUntilDone(m.ctx, nil); err != nil {
		return err
	}
	_, purged := c.GetDeleted(m.ctx, "kv-go-2", location, nil)
	_, again := c.BeginPurgeDeleted(m.ctx, "kv-go-2", location, nil)
	return errors.Join(
		check("vault recovered", *recovered.Tags["by"] == "first", recovered.Tags),
		fails("vault purged", purged, 404, "DeletedVaultNotFound"),
		fails("vault purged twice", again, 404, "DeletedVaultNotFound"),
	)
}
