package main

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"
)

const web = "go-web" // the identity that later steps use

func (m *manager) identities() error {
	c := m.identity.NewUserAssignedIdentitiesClient()
	_, missing := c.Get(m.ctx, m.group, web, nil)
	made := armmsi.UserAssignedIdentitiesClientCreateOrUpdateResponse{}
	for _, name := range []string{web, "go-b", "go-c"} {
		var err error
		if made, err = c.CreateOrUpdate(m.ctx, m.group, name, armmsi.Identity{Location: to.Ptr(location)}, nil); err != nil {
			return err
		}
	}
	var got armmsi.UserAssignedIdentitiesClientGetResponse
	etag, err := m.tagged(func(ctx context.Context) (err error) {
		got, err = c.Get(ctx, m.group, "go-c", nil)
		return err
	})
	if err != nil {
		return err
	}
	_, moved := c.CreateOrUpdate(m.ctx, m.group, web, armmsi.Identity{Location: to.Ptr("eastus")}, nil)
	_, homeless := c.CreateOrUpdate(m.ctx, "no-such-group", web, armmsi.Identity{Location: to.Ptr(location)}, nil)
	err = errors.Join(
		fails("identity missing", missing, 404, "ResourceNotFound"),
		check("identity read", *got.Properties.ClientID == *made.Properties.ClientID && *got.Properties.PrincipalID != "" && *got.Location == location, got),
		fails("identity moved", moved, 409, "InvalidResourceLocation"),
		fails("identity without group", homeless, 404, "ResourceGroupNotFound"),
		m.twoWriters("identity etag", etag, func(ctx context.Context, value string) error {
			_, err := c.Update(ctx, m.group, "go-c", armmsi.IdentityUpdate{Tags: tags(value)}, nil)
			return err
		}),
		all(m, "identity pages of a group", c.NewListByResourceGroupPager(m.group, nil),
			func(p armmsi.UserAssignedIdentitiesClientListByResourceGroupResponse) []*string {
				return namesOf(p.Value, func(i *armmsi.Identity) *string { return i.Name })
			}, web, "go-b", "go-c"),
		all(m, "identity pages", c.NewListBySubscriptionPager(nil),
			func(p armmsi.UserAssignedIdentitiesClientListBySubscriptionResponse) []*string {
				return namesOf(p.Value, func(i *armmsi.Identity) *string { return i.Name })
			}, web, "go-b", "go-c"),
	)
	if err != nil {
		return err
	}
	if _, err := c.Delete(m.ctx, m.group, "go-c", nil); err != nil {
		return err
	}
	_, gone := c.Get(m.ctx, m.group, "go-c", nil)
	_, again := c.Delete(m.ctx, m.group, "go-c", nil)
	return errors.Join(fails("identity gone", gone, 404, "ResourceNotFound"), check("identity deleted twice", again == nil, again))
}

func (m *manager) credentials() error {
	c := m.identity.NewFederatedIdentityCredentialsClient()
	trust := func(subject string) armmsi.FederatedIdentityCredential {
		return armmsi.FederatedIdentityCredential{Properties: &armmsi.FederatedIdentityCredentialProperties{
			Issuer: to.Ptr("https://oidc.example/go/"), Subject: to.Ptr(subject), Audiences: []*string{to.Ptr("api://AzureADTokenExchange")},
		}}
	}
	_, missing := c.Get(m.ctx, m.group, web, "one", nil)
	for _, name := range []string{"one", "two", "three"} {
		if _, err := c.CreateOrUpdate(m.ctx, m.group, web, name, trust("system:serviceaccount:default:"+name), nil); err != nil {
			return err
		}
	}
	var got armmsi.FederatedIdentityCredentialsClientGetResponse
	etag, err := m.tagged(func(ctx context.Context) (err error) {
		got, err = c.Get(ctx, m.group, web, "one", nil)
		return err
	})
	if err != nil {
		return err
	}
	_, orphan := c.CreateOrUpdate(m.ctx, m.group, "nobody", "one", trust("s"), nil)
	_, twin := c.CreateOrUpdate(m.ctx, m.group, web, "four", trust("system:serviceaccount:default:two"), nil)
	err = errors.Join(
		fails("credential missing", missing, 404, "ResourceNotFound"),
		check("credential read", *got.Properties.Subject == "system:serviceaccount:default:one" && len(got.Properties.Audiences) == 1, got),
		fails("credential without identity", orphan, 404, "ParentResourceNotFound"),
		fails("credential twice", twin, 400, "BadRequest"),
		m.twoWriters("credential etag", etag, func(ctx context.Context, value string) error {
			_, err := c.CreateOrUpdate(ctx, m.group, web, "one", trust(value), nil)
			return err
		}),
		all(m, "credential pages", c.NewListPager(m.group, web, &armmsi.FederatedIdentityCredentialsClientListOptions{Top: to.Ptr[int32](2)}),
			func(p armmsi.FederatedIdentityCredentialsClientListResponse) []*string {
				return namesOf(p.Value, func(f *armmsi.FederatedIdentityCredential) *string { return f.Name })
			}, "one", "two", "three"),
	)
	if err != nil {
		return err
	}
	if _, err := c.Delete(m.ctx, m.group, web, "one", nil); err != nil {
		return err
	}
	_, gone := c.Get(m.ctx, m.group, web, "one", nil)
	return fails("credential gone", gone, 404, "ResourceNotFound")
}
