package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
)

const clusterGroup = "lanyard"

// managedClusters reads, changes and detaches clusters that were attached.
func (m *manager) managedClusters() error {
	c, name := m.container.NewManagedClustersClient(), m.clusters[0]
	got, err := c.Get(m.ctx, clusterGroup, name, nil)
	if err != nil {
		return err
	}
	change := got.ManagedCluster // as a program does that changes one thing of it
	change.Properties.OidcIssuerProfile = &armcontainerservice.ManagedClusterOIDCIssuerProfile{Enabled: to.Ptr(true)}
	put := func(etag *string) (armcontainerservice.ManagedClustersClientCreateOrUpdateResponse, error) {
		poller, err := c.BeginCreateOrUpdate(m.ctx, clusterGroup, name, change, &armcontainerservice.ManagedClustersClientBeginCreateOrUpdateOptions{IfMatch: etag})
		if err != nil {
			return armcontainerservice.ManagedClustersClientCreateOrUpdateResponse{}, err
		}
		return poller.PollUntilDone(m.ctx, nil)
	}
	enabled, err := put(got.ETag)
	if err != nil {
		return err
	}
	_, stale := put(got.ETag)
	_, made := c.BeginCreateOrUpdate(m.ctx, clusterGroup, "new", armcontainerservice.ManagedCluster{Location: to.Ptr(location)}, nil)
	tagged, err := c.BeginUpdateTags(m.ctx, clusterGroup, name, armcontainerservice.TagsObject{Tags: tags("go")}, nil)
	if err != nil {
		return err
	}
	after, err := tagged.PollUntilDone(m.ctx, nil)
	if err != nil {
		return err
	}
	admin, err := c.ListClusterAdminCredentials(m.ctx, clusterGroup, name, nil)
	if err != nil {
		return err
	}
	clusterName := func(c *armcontainerservice.ManagedCluster) *string { return c.Name }
	return errors.Join(
		check("cluster issuer", strings.HasPrefix(*enabled.Properties.OidcIssuerProfile.IssuerURL, "https://"), enabled.Properties),
		fails("cluster etag", stale, 412, "PreconditionFailed"),
		fails("cluster that is not attached", made, 400, "BadRequest"),
		check("cluster tags", *after.Tags["by"] == "go" && *after.Properties.OidcIssuerProfile.Enabled, after),
		check("cluster credentials", len(admin.Kubeconfigs) == 1 && len(admin.Kubeconfigs[0].Value) > 0, len(admin.Kubeconfigs)),
		all(m, "cluster pages of a group", c.NewListByResourceGroupPager(clusterGroup, nil),
			func(p armcontainerservice.ManagedClustersClientListByResourceGroupResponse) []*string {
				return namesOf(p.Value, clusterName)
			}, m.clusters...),
		all(m, "cluster pages", c.NewListPager(nil),
			func(p armcontainerservice.ManagedClustersClientListResponse) []*string {
				return namesOf(p.Value, clusterName)
			}, m.clusters...),
		m.deleteCluster(c, name),
	)
}

func (m *manager) deleteCluster(c *armcontainerservice.ManagedClustersClient, name string) error {
	poller, err := c.BeginDelete(m.ctx, clusterGroup, name, nil)
	if err != nil {
		return fmt.Errorf("deleting a cluster: %w", err)
	}
	if _, err := poller.PollUntilDone(m.ctx, nil); err != nil {
		return fmt.Errorf("deleting a cluster: %w", err)
	}
	_, gone := c.Get(m.ctx, clusterGroup, name, nil)
	return fails("cluster gone", gone, 404, "ResourceNotFound")
}
