package manage

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/client"
)

// Policy is what one principal may do in a vault.
type Policy struct {
	TenantID      string      `json:"tenantId"`
	ObjectID      string      `json:"objectId"`
	ApplicationID string      `json:"applicationId,omitempty"`
	Permissions   Permissions `json:"permissions"`
}

// Permissions of a vault here matter for secrets; the others are kept as they are.
type Permissions struct {
	Secrets      []string `json:"secrets"`
	Keys         []string `json:"keys,omitempty"`
	Certificates []string `json:"certificates,omitempty"`
	Storage      []string `json:"storage,omitempty"`
}

// SecretPolicy lets a principal do some things with a vault's secrets: get, list, set…
func (c *Client) SecretPolicy(principal string, secrets ...string) Policy {
	return Policy{TenantID: c.Tenant, ObjectID: principal, Permissions: Permissions{Secrets: secrets}}
}

// Policies are a vault's, as the server has them. roles says that the vault uses
// roles, and its policies count for nothing.
func (c *Client) Policies(ctx context.Context, group, vault string) (all []Whole[Policy], roles bool, err error) {
	type policies struct {
		Properties struct {
			Roles    bool            `json:"enableRbacAuthorization"`
			Policies []Whole[Policy] `json:"accessPolicies"`
		} `json:"properties"`
	}
	v, err := inGroup[policies](c, group, vaultKind()).Get(ctx, vault)
	return v.Is.Properties.Policies, v.Is.Properties.Roles, err
}

// SetPolicy gives a principal permissions for secrets, in place of those that it had.
// What it may do with keys, certificates and storage stays.
func (c *Client) SetPolicy(ctx context.Context, group, vault, principal string, secrets ...string) error {
	return c.changePolicies(ctx, group, vault, "replace", func(v Vault) []Policy {
		p := c.SecretPolicy(principal)
		for _, old := range v.Properties.Policies {
			if strings.EqualFold(old.ObjectID, principal) && old.ApplicationID == "" {
				p = old
			}
		}
		p.Permissions.Secrets = secrets
		return []Policy{p}
	})
}

// AddPolicy gives a principal permissions for secrets, beside those that it had.
func (c *Client) AddPolicy(ctx context.Context, group, vault, principal string, secrets ...string) error {
	return c.changePolicies(ctx, group, vault, "add", func(Vault) []Policy { return []Policy{c.SecretPolicy(principal, secrets...)} })
}

// RemovePolicy takes all of a principal's permissions away. had says whether it had any.
func (c *Client) RemovePolicy(ctx context.Context, group, vault, principal string) (had bool, err error) {
	err = c.changePolicies(ctx, group, vault, "remove", func(v Vault) []Policy {
		// Only the permissions that are named are taken away, so name all it has.
		all := slices.DeleteFunc(v.Properties.Policies, func(p Policy) bool { return !strings.EqualFold(p.ObjectID, principal) })
		had = len(all) > 0
		return all
	})
	return had, err
}

// changePolicies sends the policies that of makes, if it makes any, to one of the
// vault's three ways to change them, whoever else writes meanwhile.
func (c *Client) changePolicies(ctx context.Context, group, vault, way string, of func(Vault) []Policy) error {
	vaults := c.Vaults(group)
	err := again(func() error {
		v, etag, err := vaults.get(ctx, vault)
		if err != nil {
			return err
		}
		changed := of(v.Is)
		if len(changed) == 0 {
			return nil
		}
		body := map[string]any{"properties": map[string]any{"accessPolicies": changed}}
		_, err = vaults.api.Call(ctx, http.MethodPut, vaults.ID(vault)+"/accessPolicies/"+way, http.Header{"If-Match": {etag}}, body, nil)
		return err
	})
	if client.IsNotFound(err) {
		return vaults.worded(ctx, vault, err)
	}
	return err
}
