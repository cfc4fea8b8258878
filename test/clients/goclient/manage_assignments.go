package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
)

// assignments gives the identity three roles of the group, and takes one back.
func (m *manager) assignments() error {
	c, scope := m.authorization.NewRoleAssignmentsClient(), "/subscriptions/"+m.sub+"/resourceGroups/"+m.group
	i, err := m.identity.NewUserAssignedIdentitiesClient().Get(m.ctx, m.group, web, nil)
	if err != nil {
		return err
	}
	principal := i.Properties.PrincipalID
	grant := func(name, role string) error {
		id, err := m.role(scope, role)
		if err != nil {
			return err
		}
		_, err = c.Create(m.ctx, scope, name, armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{
			RoleDefinitionID: id, PrincipalID: principal, PrincipalType: to.Ptr(armauthorization.PrincipalTypeServicePrincipal),
		}}, nil)
		return err
	}
	ids := []string{"9a7e0c1e-0000-4000-8000-000000000001", "9a7e0c1e-0000-4000-8000-000000000002", "9a7e0c1e-0000-4000-8000-000000000003"}
	for n, role := range []string{"Reader", "Key Vault Secrets User", "Key Vault Reader"} {
		if err := grant(ids[n], role); err != nil {
			return err
		}
	}
	again, twin, changed := grant(ids[0], "Reader"), grant("9a7e0c1e-0000-4000-8000-000000000004", "Reader"), grant(ids[0], "Contributor")
	got, err := c.Get(m.ctx, scope, ids[0], nil)
	if err != nil {
		return err
	}
	byID, err := c.GetByID(m.ctx, *got.ID, nil)
	if err != nil {
		return err
	}
	err = errors.Join(
		check("assignment again", again == nil, again),
		fails("assignment exists", twin, 409, "RoleAssignmentExists"),
		fails("assignment changed", changed, 409, "RoleAssignmentUpdateNotPermitted"),
		check("assignment read", *byID.Properties.PrincipalID == *principal && strings.EqualFold(*byID.Properties.Scope, scope), byID),
		m.listAssignments(c, scope, *principal, ids),
	)
	if err != nil {
		return err
	}
	if _, err := c.Delete(m.ctx, scope, ids[0], nil); err != nil {
		return err
	}
	_, gone := c.Get(m.ctx, scope, ids[0], nil)
	_, twice := c.Delete(m.ctx, scope, ids[0], nil)
	return errors.Join(fails("assignment gone", gone, 404, "RoleAssignmentNotFound"), check("assignment deleted twice", twice == nil, twice))
}

// role finds a role definition by its name.
func (m *manager) role(scope, name string) (*string, error) {
	p := m.authorization.NewRoleDefinitionsClient().NewListPager(scope, &armauthorization.RoleDefinitionsClientListOptions{Filter: to.Ptr("roleName eq '" + name + "'")})
	page, err := p.NextPage(m.ctx)
	if err != nil {
		return nil, err
	}
	if len(page.Value) != 1 || *page.Value[0].Properties.RoleName != name {
		return nil, check("role "+name, false, page.Value)
	}
	return page.Value[0].ID, nil
}

func (m *manager) listAssignments(c *armauthorization.RoleAssignmentsClient, scope, principal string, ids []string) error {
	name := func(a *armauthorization.RoleAssignment) *string { return a.Name }
	var others []string
	p := c.NewListForScopePager(scope, &armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: to.Ptr("principalId eq '" + principal + "'")})
	for p.More() {
		page, err := p.NextPage(m.ctx)
		if err != nil {
			return err
		}
		for _, a := range page.Value {
			if !slices.Contains(ids, *a.Name) {
				others = append(others, *a.Name)
			}
		}
	}
	return errors.Join(
		all(m, "assignments of a scope", c.NewListForScopePager(scope, &armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: to.Ptr("atScope()")}),
			func(p armauthorization.RoleAssignmentsClientListForScopeResponse) []*string {
				return namesOf(p.Value, name)
			}, ids...),
		all(m, "assignments of a group", c.NewListForResourceGroupPager(m.group, nil),
			func(p armauthorization.RoleAssignmentsClientListForResourceGroupResponse) []*string {
				return namesOf(p.Value, name)
			}, ids...),
		all(m, "assignments of a principal", c.NewListForSubscriptionPager(&armauthorization.RoleAssignmentsClientListForSubscriptionOptions{Filter: to.Ptr("assignedTo('" + principal + "')")}),
			func(p armauthorization.RoleAssignmentsClientListForSubscriptionResponse) []*string {
				return namesOf(p.Value, name)
			}, ids...),
		check("assignments of others", len(others) == 0, others),
	)
}
