package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
)

// accessPolicy is what one principal may do in a vault, as ARM shows it.
type accessPolicy struct {
	TenantID      string      `json:"tenantId"`
	ObjectID      string      `json:"objectId"`
	ApplicationID string      `json:"applicationId,omitempty"`
	Permissions   permissions `json:"permissions"`
}

// permissions of a vault here matter for secrets; the others are kept as they are.
type permissions struct {
	Secrets      []string `json:"secrets"`
	Keys         []string `json:"keys,omitempty"`
	Certificates []string `json:"certificates,omitempty"`
	Storage      []string `json:"storage,omitempty"`
}

func policyTable(names map[string]string, policies []accessPolicy) table {
	t := table{head: []string{"NAME", "OBJECT ID", "SECRETS"}, key: 1}
	for _, p := range policies {
		t.rows = append(t.rows, []string{cmp.Or(names[p.ObjectID], "-"), p.ObjectID, strings.Join(p.Permissions.Secrets, ",")})
	}
	return t
}

func newPolicyCmd(a *app) *cobra.Command {
	var h holder
	t := &h.target
	cmd := noun("policy", "Access policies: who may do what in a vault", []string{"policies"})
	addTarget(cmd.PersistentFlags(), t)

	// change has the policies of one principal changed, whoever else writes meanwhile.
	change := func(cmd *cobra.Command, verb, vault string, of func(c *client.Client, v keyVault, principal string) []accessPolicy) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		principal, err := a.holder(cmd, c, &h)
		if err != nil {
			return err
		}
		err = client.Again(func() error {
			v, etag, err := find[keyVault](cmd.Context(), c, *t, vaultKind(), vault)
			if err != nil {
				return err
			}
			changed := of(c, v.is, principal)
			if verb == "remove" && len(changed) == 0 {
				return fault.WithHint(fault.Absent("the vault %s has no access policy of %s", v.is.Name, &h), "lanyard policy list "+v.is.Name)
			}
			body := map[string]any{"properties": map[string]any{"accessPolicies": changed}}
			return c.PutIf(cmd.Context(), t.vaultID(c, vault)+"/accessPolicies/"+verb, vaultVersion, etag, body, nil)
		})
		if err != nil {
			return err
		}
		return a.printPolicies(cmd.Context(), c, *t, vault)
	}

	var secrets []string
	set := &cobra.Command{
		Use: "set VAULT", Short: "Give a principal permissions for secrets, in place of those it had",
		Example: `  lanyard policy set kv-dev --identity workshop-identity --secrets get
  lanyard policy set kv-dev --user alice --secrets get,list
  lanyard policy set kv-dev --app 0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, "replace", args[0], func(c *client.Client, v keyVault, principal string) []accessPolicy {
				p := accessPolicy{TenantID: c.Tenant, ObjectID: principal}
				for _, old := range v.Properties.Policies {
					if strings.EqualFold(old.ObjectID, principal) && old.ApplicationID == "" {
						p = old // its permissions for keys, certificates and storage stay
					}
				}
				p.Permissions.Secrets = secrets
				return []accessPolicy{p}
			})
		},
	}
	h.add(set)
	set.Flags().StringSliceVar(&secrets, "secrets", []string{"get"}, "`permissions`: get, list, set, delete, recover, backup, restore, purge or all")
	remove := &cobra.Command{
		Use: "delete VAULT", Short: "Take a principal's permissions away", Args: cobra.ExactArgs(1),
		Example: `  lanyard policy delete kv-dev --identity workshop-identity`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, "remove", args[0], func(_ *client.Client, v keyVault, principal string) []accessPolicy {
				// Only the permissions that are named are taken away, so name all it has.
				return slices.DeleteFunc(v.Properties.Policies, func(p accessPolicy) bool {
					return !strings.EqualFold(p.ObjectID, principal)
				})
			})
		},
	}
	h.add(remove)
	list := &cobra.Command{
		Use: "list VAULT", Short: "List a vault's access policies", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			return a.printPolicies(cmd.Context(), c, *t, args[0])
		},
	}
	cmd.AddCommand(set, remove, list)
	return cmd
}

func (a *app) printPolicies(ctx context.Context, c *client.Client, t target, vault string) error {
	v, _, err := find[whollyPolicies](ctx, c, t, vaultKind(), vault)
	if err != nil {
		return err
	}
	if v.is.Properties.Roles {
		a.say("the vault %s uses roles: its access policies count for nothing; lanyard role list shows who may", vault)
	}
	all := parts(v.is.Properties.Policies)
	var ids []string
	for _, p := range all {
		ids = append(ids, p.ObjectID)
	}
	return a.print(v.is.Properties.Policies, policyTable(principalNames(ctx, c, ids), all))
}

// whollyPolicies is a vault whose policies are shown as the server has them.
type whollyPolicies struct {
	Properties struct {
		Roles    bool                  `json:"enableRbacAuthorization"`
		Policies []whole[accessPolicy] `json:"accessPolicies"`
	} `json:"properties"`
}

// principal is the object id of whoever is signed in, from their own token.
func (a *app) principal(ctx context.Context, c *client.Client) (string, error) {
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
	var claims access.Claims
	if err := json.Unmarshal(raw, &claims); err != nil {
		return "", fmt.Errorf("reading the access token: %w", err)
	}
	if claims.ObjectID == "" {
		return "", errors.New("the access token has no object id")
	}
	return claims.ObjectID, nil
}
