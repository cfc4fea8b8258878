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

func policyTable(policies []accessPolicy) table {
	t := table{head: []string{"OBJECT ID", "SECRETS"}}
	for _, p := range policies {
		t.rows = append(t.rows, []string{p.ObjectID, strings.Join(p.Permissions.Secrets, ",")})
	}
	return t
}

func newPolicyCmd(a *app) *cobra.Command {
	var t target
	var owner, objectID string
	cmd := noun("policy", "Access policies: who may do what in a vault", []string{"policies"})
	addTarget(cmd.PersistentFlags(), &t)

	// change has the policies of one principal changed, whoever else writes meanwhile.
	change := func(cmd *cobra.Command, verb, vault string, of func(*client.Client, keyVault) []accessPolicy) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		if owner != "" {
			i, err := a.identity(cmd, t, owner)
			if err != nil {
				return err
			}
			objectID = i.is.Properties.PrincipalID
		}
		err = client.Again(func() error {
			v, etag, err := find[keyVault](cmd.Context(), c, t, vaultKind(), vault)
			if err != nil {
				return err
			}
			changed := of(c, v.is)
			if verb == "remove" && len(changed) == 0 {
				return withHint(fmt.Errorf("the vault %s has no access policy of %s", v.is.Name, cmp.Or(owner, objectID)), "lanyard policy list "+v.is.Name)
			}
			body := map[string]any{"properties": map[string]any{"accessPolicies": changed}}
			return c.PutIf(cmd.Context(), t.vaultID(c, vault)+"/accessPolicies/"+verb, vaultVersion, etag, body, nil)
		})
		if err != nil {
			return err
		}
		return a.printPolicies(cmd.Context(), c, t, vault)
	}
	who := func(cmd *cobra.Command) *cobra.Command {
		cmd.Flags().StringVarP(&owner, "identity", "i", "", "`name` of a managed identity")
		cmd.Flags().StringVar(&objectID, "object-id", "", "object id of any principal")
		cmd.MarkFlagsOneRequired("identity", "object-id")
		cmd.MarkFlagsMutuallyExclusive("identity", "object-id")
		return cmd
	}

	var secrets []string
	set := who(&cobra.Command{
		Use: "set VAULT", Short: "Give a principal permissions for secrets, in place of those it had",
		Example: `  lanyard policy set kv-dev --identity workshop-identity --secrets get`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, "replace", args[0], func(c *client.Client, v keyVault) []accessPolicy {
				p := accessPolicy{TenantID: c.Tenant, ObjectID: objectID}
				for _, old := range v.Properties.Policies {
					if strings.EqualFold(old.ObjectID, objectID) && old.ApplicationID == "" {
						p = old // its permissions for keys, certificates and storage stay
					}
				}
				p.Permissions.Secrets = secrets
				return []accessPolicy{p}
			})
		},
	})
	set.Flags().StringSliceVar(&secrets, "secrets", []string{"get"}, "`permissions`: get, list, set, delete, recover, backup, restore, purge or all")
	remove := who(&cobra.Command{
		Use: "delete VAULT", Short: "Take a principal's permissions away", Args: cobra.ExactArgs(1),
		Example: `  lanyard policy delete kv-dev --identity workshop-identity`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, "remove", args[0], func(_ *client.Client, v keyVault) []accessPolicy {
				// Only the permissions that are named are taken away, so name all it has.
				return slices.DeleteFunc(v.Properties.Policies, func(p accessPolicy) bool {
					return !strings.EqualFold(p.ObjectID, objectID)
				})
			})
		},
	})
	list := &cobra.Command{
		Use: "list VAULT", Short: "List a vault's access policies", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			return a.printPolicies(cmd.Context(), c, t, args[0])
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
	return a.print(v.is.Properties.Policies, policyTable(parts(v.is.Properties.Policies)))
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
