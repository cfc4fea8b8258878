package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/manage"
)

// holder says who gets a role or a policy: one of its fields is set.
type holder struct {
	target
	objectID, appID, identity, user string
}

// holderVerb is a command that does something to its argument for a principal, which
// one of its flags names.
func (a *app) holderVerb(h *holder, w words, do func(ctx context.Context, c *manage.Client, arg, principal string) error, checks ...func([]string) error) *cobra.Command {
	cmd := a.verb(w, func(cmd *cobra.Command, c *manage.Client, args []string) error {
		principal, err := h.find(cmd.Context(), c)
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, args[0], principal)
	}, checks...)
	f := cmd.Flags()
	f.StringVar(&h.objectID, "object-id", "", "object id of the principal")
	f.StringVar(&h.appID, "app", "", "client `id` of an application")
	f.StringVarP(&h.identity, "identity", "i", "", "`name` of a managed identity")
	f.StringVar(&h.user, "user", "", "`name` of a user")
	cmd.MarkFlagsOneRequired("object-id", "app", "identity", "user")
	cmd.MarkFlagsMutuallyExclusive("object-id", "app", "identity", "user")
	return cmd
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

// find is the object id of the principal.
func (h *holder) find(ctx context.Context, c *manage.Client) (string, error) {
	switch {
	case h.identity != "":
		i, err := c.Identities(h.group).Get(ctx, h.identity)
		return i.Is.Properties.PrincipalID, err
	case h.appID != "":
		if err := checkAppID([]string{h.appID}); err != nil {
			return "", err
		}
		p, err := c.Principal(ctx, h.appID)
		return p.ID, err
	case h.user != "":
		u, err := c.Users().Get(ctx, h.user)
		return u.Is.ID, err
	}
	return h.objectID, nil
}
