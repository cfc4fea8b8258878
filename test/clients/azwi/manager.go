package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armsubscriptions"
	"github.com/google/uuid"
)

// noCredential gives an empty token.
type noCredential struct{}

func (noCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, nil
}

var authorizationURI = regexp.MustCompile(`authorization_uri=".*/([0-9a-f\-]+)"`)

// tenantOf reads the tenant in the challenge of a refused request.
func tenantOf(subscription string, httpClient *http.Client) (string, error) {
	subscriptions, err := armsubscriptions.NewClient(noCredential{}, &arm.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: httpClient}})
	if err != nil {
		return "", err
	}
	_, err = subscriptions.Get(context.Background(), subscription, nil)
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) {
		return "", fmt.Errorf("want a refusal, got %w", err)
	}
	challenge := refused.RawResponse.Header.Get("WWW-Authenticate")
	m := authorizationURI.FindStringSubmatch(challenge)
	if m == nil {
		return "", fmt.Errorf("no tenant in the challenge %q", challenge)
	}
	return m[1], nil
}

// manager is Resource Manager.
type manager struct {
	assignments *armauthorization.RoleAssignmentsClient
	definitions *armauthorization.RoleDefinitionsClient
}

func newManager(subscription string, credential azcore.TokenCredential) (*manager, error) {
	assignments, err := armauthorization.NewRoleAssignmentsClient(subscription, credential, nil)
	if err != nil {
		return nil, err
	}
	definitions, err := armauthorization.NewRoleDefinitionsClient(credential, nil)
	return &manager{assignments, definitions}, err
}

// assign finds the role by its name in the scope "", as azwi does, and assigns it.
func (m *manager) assign(ctx context.Context, scope, role, principalID string) (id string, err error) {
	filter := fmt.Sprintf("roleName eq '%s'", role)
	pages := m.definitions.NewListPager("", &armauthorization.RoleDefinitionsClientListOptions{Filter: &filter})
	var definition *armauthorization.RoleDefinition
	for definition == nil && pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", fmt.Errorf("listing roles: %w", err)
		}
		if len(page.Value) > 0 {
			definition = page.Value[0]
		}
	}
	if definition == nil {
		return "", fmt.Errorf("no role %q", role)
	}
	made, err := m.assignments.Create(ctx, scope, uuid.NewString(), armauthorization.RoleAssignmentCreateParameters{
		Properties: &armauthorization.RoleAssignmentProperties{RoleDefinitionID: definition.ID, PrincipalID: &principalID},
	}, nil)
	if err != nil {
		return "", err
	}
	return *made.ID, nil
}

func (m *manager) unassign(ctx context.Context, id string) error {
	_, err := m.assignments.DeleteByID(ctx, id, nil)
	return err
}
