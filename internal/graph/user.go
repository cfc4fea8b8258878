package graph

import (
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/password"
	"github.com/lanyard-io/lanyard/internal/store"
)

// user is a user in answers. https://learn.microsoft.com/graph/api/resources/user
type user struct {
	Context   string    `json:"@odata.context,omitempty"`
	Type      string    `json:"@odata.type,omitempty"`
	ID        string    `json:"id"`
	UPN       string    `json:"userPrincipalName"`
	Name      string    `json:"displayName"`
	Nickname  string    `json:"mailNickname"`
	Enabled   bool      `json:"accountEnabled"`
	Mail      *string   `json:"mail"`
	GivenName *string   `json:"givenName"`
	Surname   *string   `json:"surname"`
	JobTitle  *string   `json:"jobTitle"`
	Mobile    *string   `json:"mobilePhone"`
	Office    *string   `json:"officeLocation"`
	Language  *string   `json:"preferredLanguage"`
	Phones    []string  `json:"businessPhones"`
	Created   time.Time `json:"createdDateTime"`
	Changed   time.Time `json:"lastPasswordChangeDateTime"`
	UserType  string    `json:"userType"`
	Locked    string    `json:"lockedUntil,omitempty"` // ours
}

func showUser(u *model.User) *user {
	return &user{
		ID: u.ObjectID, UPN: u.UPN, Name: u.Name, Nickname: u.Nickname, Enabled: !u.Disabled, Phones: []string{},
		Created: u.Created.UTC(), Changed: u.Changed.UTC(), UserType: "Member",
	}
}

func (c *call) replyUser(status int, u *model.User) error {
	out := showUser(u)
	out.Context = c.context("users/$entity")
	if s, _, ok := store.Get[*model.SignIns](c.view, model.SignInsKey(u.ObjectID)); ok && c.s.now().Before(s.Locked) {
		out.Locked = s.Locked.UTC().Format(time.RFC3339)
	}
	return c.reply(status, out)
}

func userFields() fields {
	text := func(get func(*model.User) string) field {
		return field{text: func(o model.Object) string {
			if u, ok := o.(*model.User); ok {
				return get(u)
			}
			return ""
		}}
	}
	return fields{
		"id":                text(func(u *model.User) string { return u.ObjectID }),
		"userprincipalname": text(func(u *model.User) string { return u.UPN }),
		"displayname":       text(func(u *model.User) string { return u.Name }),
		"mailnickname":      text(func(u *model.User) string { return u.Nickname }),
		"mail":              text(func(*model.User) string { return "" }),
	}
}

func (c *call) listUsers() error {
	return c.list(collection{
		name: "users", fields: userFields(),
		direct: map[string]func(string) *store.Entry{
			"userprincipalname": func(v string) *store.Entry { return c.view.Get(model.UserKey(v)) },
			"id":                func(v string) *store.Entry { return c.view.First(model.PrincipalIndex(v)) },
		},
		entries: func(after string) iter.Seq[*store.Entry] { return c.view.Prefix(model.UsersKey, after) },
		holds: func(o model.Object) bool {
			_, ok := o.(*model.User)
			return ok
		},
		show: func(o model.Object) any { return showUser(o.(*model.User)) },
	})
}

// userByKey finds a user by object id or principal name.
func (c *call) userByKey(k string) (*model.User, int64, error) {
	var e *store.Entry
	if model.ValidUUID(k) {
		e = c.view.First(model.PrincipalIndex(k))
	} else if model.ValidUPN(k) {
		e = c.view.Get(model.UserKey(k))
	}
	if e != nil {
		if u, ok := e.Value.(*model.User); ok {
			return u, e.Rev, nil
		}
	}
	return nil, 0, notFoundError(k)
}

func (c *call) user() (*model.User, int64, error) { return c.userByKey(c.path.keys[0].value) }

func (c *call) getUser() error {
	u, _, err := c.user()
	if err != nil {
		return err
	}
	return c.replyUser(http.StatusOK, u)
}

// userInput is the body of create and update. An absent member changes nothing.
type userInput struct {
	UPN      *string `json:"userPrincipalName"`
	Name     *string `json:"displayName"`
	Nickname *string `json:"mailNickname"`
	Enabled  *bool   `json:"accountEnabled"`
	Profile  *struct {
		Password   *string `json:"password"`
		MustChange *bool   `json:"forceChangePasswordNextSignIn"`
	} `json:"passwordProfile"`
}

// apply changes the members that the input has; u is the caller's own copy. A change
// that takes access away ends the user's sign-ins.
func (in *userInput) apply(c *call, u *model.User) error {
	if in.Name != nil {
		u.Name = *in.Name
	}
	if in.Nickname != nil {
		u.Nickname = *in.Nickname
	}
	if !validName(u.Name) {
		return fail(badRequest, "Invalid value specified for property 'displayName' of resource 'User': it must have 1 to %d printable characters.", maxName)
	}
	if u.Nickname != "" && (!validName(u.Nickname) || strings.ContainsAny(u.Nickname, " @()\\[];:<>,\"")) {
		return fail(badRequest, "Invalid value specified for property 'mailNickname' of resource 'User'.")
	}
	if in.Enabled != nil {
		if u.Disabled = !*in.Enabled; u.Disabled {
			u.Stamp = model.NewUUID()
		}
	}
	if in.Profile == nil {
		return nil
	}
	if in.Profile.MustChange != nil {
		u.MustChange = *in.Profile.MustChange
	}
	if in.Profile.Password == nil {
		return nil
	}
	return c.setPassword(u, *in.Profile.Password)
}

// setPassword hashes and seals a password. No error repeats it.
func (c *call) setPassword(u *model.User, word string) error {
	if err := password.Check(word, u.UPN); err != nil {
		return fail(badRequest, "The specified password does not comply with password complexity requirements: %s. Please provide a different password.", err.Error())
	}
	hash, err := c.s.passwords.Hash(c.r.Context(), word)
	if err != nil {
		return err
	}
	if u.Password, err = c.s.sealer.Seal([]byte(hash), u.PasswordName()); err != nil {
		return err
	}
	u.Changed, u.Stamp = c.now(), model.NewUUID()
	return nil
}

func (c *call) createUser() error {
	var in userInput
	if err := c.read(&in, false); err != nil {
		return err
	}
	switch {
	case in.UPN == nil || !model.ValidUPN(*in.UPN):
		return fail(badRequest, "Invalid value specified for property 'userPrincipalName' of resource 'User': it must be NAME@DOMAIN.")
	case in.Profile == nil || in.Profile.Password == nil:
		return fail(badRequest, "A password must be specified to create a new user.")
	}
	u := &model.User{ObjectID: model.NewUUID(), UPN: *in.UPN, Created: c.now()}
	if in.Name == nil {
		u.Name = u.UPN
	}
	if c.view.Get(u.Key()) != nil {
		return fail(duplicate, "Another object with the same value for property userPrincipalName already exists.")
	}
	if err := in.apply(c, u); err != nil {
		return err
	}
	if _, err := c.s.store.Put(c.r.Context(), u, 0); err != nil {
		return err
	}
	return c.replyUser(http.StatusCreated, u)
}

func (c *call) updateUser() error {
	var in userInput
	if err := c.read(&in, false); err != nil {
		return err
	}
	old, rev, err := c.user()
	if err != nil {
		return err
	}
	if in.UPN != nil && *in.UPN != old.UPN {
		return fail(badRequest, "The property 'userPrincipalName' cannot be changed: make another user.")
	}
	u := *old
	if err := in.apply(c, &u); err != nil {
		return err
	}
	if _, err := c.s.store.Put(c.r.Context(), &u, rev); err != nil {
		return err
	}
	return c.done()
}

// deleteUser deletes the user first, so that the sign-ins end, then the sign-ins'
// objects and, wherever they are, the role assignments.
func (c *call) deleteUser() error {
	u, rev, err := c.user()
	if err != nil {
		return err
	}
	ops := []store.Op{{Key: u.Key(), Rev: rev}, {Key: model.PersonKey(u.ObjectID), Rev: store.Any, Tree: true}}
	for e := range c.view.Lookup(model.RoleIndex(u.ObjectID)) {
		ops = append(ops, store.Op{Key: e.Key, Rev: store.Any})
	}
	if err := c.s.commitAll(c.r.Context(), ops); err != nil {
		return err
	}
	return c.done()
}

// memberGroups: there are no groups.
func (c *call) memberGroups() error {
	if _, _, err := c.user(); err != nil {
		return err
	}
	return c.reply(http.StatusOK, listBody{Context: c.context("Collection(Edm.String)"), Value: []any{}})
}

// revokeUser ends every sign-in of the user.
func (c *call) revokeUser() error {
	old, rev, err := c.user()
	if err != nil {
		return err
	}
	u := *old
	u.Stamp = model.NewUUID()
	if _, err := c.s.store.Put(c.r.Context(), &u, rev); err != nil {
		return err
	}
	return c.reply(http.StatusOK, struct {
		Context string `json:"@odata.context"`
		Value   bool   `json:"value"`
	}{c.context("Edm.Boolean"), true})
}

// unlockUser forgets the failed sign-ins. Graph has no such operation: Entra's
// locks end by themselves only, as ours do too.
func (c *call) unlockUser() error {
	u, _, err := c.user()
	if err != nil {
		return err
	}
	if err := c.s.store.Delete(c.r.Context(), model.SignInsKey(u.ObjectID), store.Any); err != nil {
		return err
	}
	return c.done()
}
