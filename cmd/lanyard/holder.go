package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
)

// holder says who gets a role or a policy: one of its fields is set.
type holder struct {
	target
	objectID, appID, identity, user string
}

// add gives a command the flags that name a principal; one of them is needed.
func (h *holder) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&h.objectID, "object-id", "", "object id of the principal")
	f.StringVar(&h.appID, "app", "", "client `id` of an application")
	f.StringVarP(&h.identity, "identity", "i", "", "`name` of a managed identity")
	f.StringVar(&h.user, "user", "", "`name` of a user")
	cmd.MarkFlagsOneRequired("object-id", "app", "identity", "user")
	cmd.MarkFlagsMutuallyExclusive("object-id", "app", "identity", "user")
}

// kind is the principal's type; an object id's is the server's to find.
func (h *holder) kind() string {
	switch {
	case h.user != "":
		return "User"
	case h.objectID != "":
		return ""
	}
	return "ServicePrincipal"
}

// String is the principal as the user named it.
func (h *holder) String() string { return cmp.Or(h.identity, h.appID, h.user, h.objectID) }

// holder finds the object id of a principal.
func (a *app) holder(cmd *cobra.Command, c *client.Client, h *holder) (string, error) {
	switch {
	case h.identity != "":
		i, err := a.identity(cmd, h.target, h.identity)
		return i.is.Properties.PrincipalID, err
	case h.appID != "":
		if err := checkAppID(h.appID); err != nil {
			return "", err
		}
		var principal struct {
			ID string `json:"id"`
		}
		err := c.Graph(cmd.Context(), "GET", principalPath(h.appID), nil, &principal)
		if client.IsNotFound(err) {
			err = noApp(h.appID)
		}
		return principal.ID, err
	case h.user != "":
		u, err := showUser(cmd.Context(), c, h.user)
		return u.is.ID, err
	}
	return h.objectID, nil
}

// maxIDs is how many ids the directory takes at once.
const maxIDs = 1000

// principalNames asks the directory who the principals are. The list is of use
// without it, so a caller who may not ask sees ids.
func principalNames(ctx context.Context, c *client.Client, ids []string) map[string]string {
	names := map[string]string{}
	for some := range slices.Chunk(ids, maxIDs) {
		var page struct {
			Value []struct {
				ID          string `json:"id"`
				DisplayName string `json:"displayName"`
			} `json:"value"`
		}
		if c.Graph(ctx, "POST", "/directoryObjects/getByIds", map[string]any{"ids": some}, &page) != nil {
			return names
		}
		for _, p := range page.Value {
			names[p.ID] = p.DisplayName
		}
	}
	return names
}
