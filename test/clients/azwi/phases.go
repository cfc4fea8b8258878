package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// made is what a run of create made, and what it found there already.
type made struct {
	ClientID   string   `json:"clientId"`
	Assignment string   `json:"assignment"`
	Found      []string `json:"found"`
}

// applicationName is azwi's, when it is told none.
func (a *account) applicationName() string {
	return fmt.Sprintf("%s-%s-%s", a.namespace, a.name, hash(a.issuer))
}

func (a *account) subject() string {
	return fmt.Sprintf("system:serviceaccount:%s:%s", a.namespace, a.name)
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.URLEncoding.EncodeToString(sum[:])
}

// create runs the phases aad-application, federated-identity and role-assignment.
func (c *client) create(ctx context.Context) (*made, error) {
	m := &made{Found: []string{}}
	app, err := c.ensure(ctx, m, "applications", func() (*object, error) {
		return c.graph.createApplication(ctx, c.applicationName())
	})
	if err != nil {
		return nil, err
	}
	principal, err := c.ensure(ctx, m, "servicePrincipals", func() (*object, error) {
		return c.graph.createPrincipal(ctx, app.text("appId"))
	})
	if err != nil {
		return nil, err
	}
	m.ClientID = principal.text("appId")

	err = c.graph.addFederated(ctx, app.text("id"), &object{
		audiences: []string{"api://AzureADTokenExchange"},
		texts: map[string]string{
			"description": fmt.Sprintf("Federated Service Account for %s/%s", c.namespace, c.name),
			"issuer":      c.issuer, "name": hash(fmt.Sprintf("%s-%s-%s", c.namespace, c.name, c.issuer)), "subject": c.subject(),
		},
	})
	var refused *graphError
	switch {
	case errors.As(err, &refused) && refused.code == "Request_MultipleObjectsWithSameKeyValue":
		m.Found = append(m.Found, "federatedIdentityCredentials")
	case err != nil:
		return nil, fmt.Errorf("adding the federated credential: %w", err)
	}

	m.Assignment, err = c.arm.assign(ctx, c.scope, c.role, principal.text("id"))
	var response *azcore.ResponseError
	switch {
	case errors.As(err, &response) && response.StatusCode == http.StatusConflict:
		m.Found = append(m.Found, "roleAssignments")
	case err != nil:
		return nil, fmt.Errorf("assigning the role: %w", err)
	}
	return m, nil
}

// ensure finds the thing that has the application's name, or creates it.
func (c *client) ensure(ctx context.Context, m *made, collection string, create func() (*object, error)) (*object, error) {
	o, err := c.graph.find(ctx, collection, "displayName", c.applicationName())
	if err != nil {
		return nil, fmt.Errorf("looking in %s: %w", collection, err)
	}
	if o != nil {
		m.Found = append(m.Found, collection)
		return o, nil
	}
	if o, err = create(); err != nil {
		return nil, fmt.Errorf("creating in %s: %w", collection, err)
	}
	return o, nil
}

// delete runs the phases role-assignment, federated-identity and aad-application.
func (c *client) delete(ctx context.Context) error {
	if err := c.arm.unassign(ctx, c.assignment); err != nil {
		return fmt.Errorf("deleting the role assignment: %w", err)
	}
	app, err := c.graph.find(ctx, "applications", "displayName", c.applicationName())
	if err != nil || app == nil {
		return fmt.Errorf("the application %q is not found: %v", c.applicationName(), err)
	}
	id := app.text("id")
	credential, err := c.graph.findFederated(ctx, id, c.issuer, c.subject())
	if err != nil {
		return fmt.Errorf("finding the federated credential: %w", err)
	}
	if err := c.graph.deleteFederated(ctx, id, credential.text("id")); err != nil {
		return fmt.Errorf("deleting the federated credential: %w", err)
	}
	if err := c.graph.deleteApplication(ctx, id); err != nil {
		return fmt.Errorf("deleting the application: %w", err)
	}
	return nil
}
