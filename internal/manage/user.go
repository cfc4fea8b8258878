package manage

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/model"
)

// User is a person who signs in with a password.
type User struct {
	ID      string `json:"id"`
	UPN     string `json:"userPrincipalName"`
	Name    string `json:"displayName"`
	Enabled bool   `json:"accountEnabled"`
	Locked  string `json:"lockedUntil,omitempty"`
}

// Password is a new one. MustChange asks for another at the first sign-in.
type Password struct {
	Word       string `json:"password"`
	MustChange bool   `json:"forceChangePasswordNextSignIn"`
}

// FullName is a user's name with the server's domain, unless it has one or is an id.
func (c *Client) FullName(name string) string {
	if strings.Contains(name, "@") || model.ValidUUID(name) {
		return name
	}
	return name + "@" + c.Domain()
}

// Users are found by object id or name; one without a domain is of the server's.
func (c *Client) Users() Collection[User] {
	return Collection[User]{
		api: c.Directory(), path: "/users", directory: true,
		id: func(name string) string { return "/users/" + url.PathEscape(c.FullName(name)) },
		missing: func(_ context.Context, name string) error {
			return fault.WithHint(fault.Absent("no such user %q", c.FullName(name)), "lanyard user list")
		},
	}
}

// CreateUser makes a user, called by their name if display is empty.
func (c *Client) CreateUser(ctx context.Context, upn, display string, p Password) (Whole[User], error) {
	local, _, _ := strings.Cut(upn, "@")
	if display == "" {
		display = local
	}
	return c.Users().call(ctx, "POST", "/users", nil, map[string]any{
		"accountEnabled": true, "displayName": display, "mailNickname": local, "userPrincipalName": upn, "passwordProfile": p,
	})
}

// SetPassword gives a user a new password, and ends all sign-ins.
func (c *Client) SetPassword(ctx context.Context, name string, p Password) error {
	_, err := c.Users().patch(ctx, name, map[string]any{"passwordProfile": p})
	return err
}

// UnlockUser ends a lock that failed sign-ins brought.
func (c *Client) UnlockUser(ctx context.Context, name string) error {
	users := c.Users()
	_, err := users.api.Call(ctx, "POST", users.ID(name)+"/unlock", nil, nil, nil)
	return users.worded(ctx, name, err)
}

// maxIDs is how many ids the directory takes at once.
const maxIDs = 1000

// PrincipalNames are the names of principals by their object ids. A list is of use
// without them, so a caller who may not ask gets none.
func (c *Client) PrincipalNames(ctx context.Context, ids []string) map[string]string {
	names := map[string]string{}
	for some := range slices.Chunk(ids, maxIDs) {
		var page struct {
			Value []struct {
				ID          string `json:"id"`
				DisplayName string `json:"displayName"`
			} `json:"value"`
		}
		if _, err := c.Directory().Call(ctx, "POST", "/directoryObjects/getByIds", nil, map[string]any{"ids": some}, &page); err != nil {
			return names
		}
		for _, p := range page.Value {
			names[p.ID] = p.DisplayName
		}
	}
	return names
}
