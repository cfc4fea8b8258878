package manage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/lanyard-io/lanyard/internal/client"
)

// Versions of Resource Manager's API that are spoken.
const (
	groupVersion    = "2021-04-01"
	subVersion      = "2022-12-01"
	identityVersion = "2025-01-31-preview" // the first with expressions over claims
	vaultVersion    = "2023-07-01"
	roleVersion     = "2022-04-01"
	clusterVersion  = "2026-07-01"
	trustVersion    = "2026-11-01"
)

// Resource types.
const (
	identityType = "Microsoft.ManagedIdentity/userAssignedIdentities"
	vaultType    = "Microsoft.KeyVault/vaults"
	clusterType  = "Microsoft.ContainerService/managedClusters"
)

// DefaultLocation is written on what nobody names a location for.
const DefaultLocation = "local"

// Client manages one subscription and its directory.
type Client struct{ *client.Client }

// New makes a client of one that signs in.
func New(c *client.Client) *Client { return &Client{c} }

func (c *Client) subscription() string { return "/subscriptions/" + c.Subscription }

func (c *Client) groupID(name string) string {
	return c.subscription() + "/resourceGroups/" + url.PathEscape(name)
}

// CheckSubscription is an error when the subscription is not there, or not for whoever
// is signed in.
func (c *Client) CheckSubscription(ctx context.Context) error {
	_, err := c.ResourceManager(subVersion).Call(ctx, "GET", c.subscription(), nil, nil, nil)
	return err
}

// GroupOf is the resource group in a resource's id.
func GroupOf(id string) string {
	steps := strings.Split(id, "/")
	for i := 1; i+1 < len(steps); i += 2 {
		if strings.EqualFold(steps[i], "resourceGroups") {
			return steps[i+1]
		}
	}
	return ""
}

// lastStep is the name at the end of a resource's id.
func lastStep(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// Me is the object id of whoever is signed in, as their own token says.
func (c *Client) Me(ctx context.Context) (string, error) {
	token, err := c.ManagementToken(ctx)
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return "", fmt.Errorf("reading the access token: %w", err)
	}
	var claims struct {
		ObjectID string `json:"oid"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return "", fmt.Errorf("reading the access token: %w", err)
	}
	if claims.ObjectID == "" {
		return "", errors.New("the access token has no object id")
	}
	return claims.ObjectID, nil
}
