package main

import (
	"context"
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

// groups are the program's own; the first has what the other steps make.
func (m *manager) groups() []string { return []string{m.group, m.group + "-2", m.group + "-3"} }

func (m *manager) makeGroups() error {
	c := m.resources.NewResourceGroupsClient()
	before, err := c.CheckExistence(m.ctx, m.group, nil)
	if err != nil {
		return err
	}
	_, missing := c.Get(m.ctx, m.group, nil)
	for _, name := range m.groups() {
		if _, err := c.CreateOrUpdate(m.ctx, name, armresources.ResourceGroup{Location: to.Ptr(location)}, nil); err != nil {
			return err
		}
	}
	after, err := c.CheckExistence(m.ctx, m.group, nil)
	if err != nil {
		return err
	}
	etag, err := m.tagged(func(ctx context.Context) error {
		_, err := c.Get(ctx, m.group, nil)
		return err
	})
	if err != nil {
		return err
	}
	_, moved := c.CreateOrUpdate(m.ctx, m.group, armresources.ResourceGroup{Location: to.Ptr("eastus")}, nil)
	return errors.Join(
		check("group exists", !before.Success && after.Success, after),
		fails("group missing", missing, 404, "ResourceGroupNotFound"),
		fails("group moved", moved, 409, "InvalidResourceGroupLocation"),
		m.twoWriters("group etag", etag, func(ctx context.Context, value string) error {
			_, err := c.Update(ctx, m.group, armresources.ResourceGroupPatchable{Tags: tags(value)}, nil)
			return err
		}),
		all(m, "group pages", c.NewListPager(nil), func(p armresources.ResourceGroupsClientListResponse) []*string {
			return namesOf(p.Value, func(g *armresources.ResourceGroup) *string { return g.Name })
		}, m.groups()...),
	)
}

func (m *manager) providers() error {
	c := m.resources.NewProvidersClient()
	registered, err := c.Register(m.ctx, "Microsoft.ContainerService", nil)
	if err != nil {
		return err
	}
	got, err := c.Get(m.ctx, "Microsoft.KeyVault", nil)
	if err != nil {
		return err
	}
	versions := 0
	for _, t := range got.ResourceTypes {
		if *t.ResourceType == "vaults" {
			versions = len(t.APIVersions)
		}
	}
	listed := 0
	for p := c.NewListPager(nil); p.More(); {
		page, err := p.NextPage(m.ctx)
		if err != nil {
			return err
		}
		listed += len(page.Value)
	}
	return errors.Join(
		check("provider register", *registered.RegistrationState == "Registered", *registered.RegistrationState),
		check("provider get", versions > 0, versions),
		check("provider list", listed > 3, listed),
	)
}

// deleteGroups waits as the SDK does, and looks at what is left.
func (m *manager) deleteGroups() error {
	c := m.resources.NewResourceGroupsClient()
	for _, name := range m.groups() {
		poller, err := c.BeginDelete(m.ctx, name, nil)
		if err != nil {
			return err
		}
		if _, err := poller.PollUntilDone(m.ctx, nil); err != nil {
			return err
		}
	}
	_, gone := c.Get(m.ctx, m.group, nil)
	var left []string
	for p := m.resources.NewClient().NewListPager(nil); p.More(); {
		page, err := p.NextPage(m.ctx)
		if err != nil {
			return err
		}
		for _, r := range page.Value {
			if strings.Contains(strings.ToLower(*r.ID), "/"+m.group) {
				left = append(left, *r.ID)
			}
		}
	}
	return errors.Join(
		fails("group gone", gone, 404, "ResourceGroupNotFound"),
		check("group took what it held", len(left) == 0, left),
	)
}
