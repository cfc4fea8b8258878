package graph

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// maxName is the most characters of a display name.
const maxName = 256

// application is an application in answers.
// https://learn.microsoft.com/graph/api/resources/application
type application struct {
	Context        string               `json:"@odata.context,omitempty"`
	ID             string               `json:"id"`
	AppID          string               `json:"appId"`
	DisplayName    string               `json:"displayName"`
	UniqueName     *string              `json:"uniqueName"`
	Created        time.Time            `json:"createdDateTime"`
	Audience       string               `json:"signInAudience"`
	IdentifierURIs []string             `json:"identifierUris"`
	Keys           []keyCredential      `json:"keyCredentials"`
	Passwords      []passwordCredential `json:"passwordCredentials"`
	Required       []struct{}           `json:"requiredResourceAccess"`
	Fallback       bool                 `json:"isFallbackPublicClient"`
	Public         redirects            `json:"publicClient"`
	Web            redirects            `json:"web"`
	Tags           []string             `json:"tags"`
}

// oneTenant is the only sign-in audience that there can be.
const oneTenant = "AzureADMyOrg"

func showApplication(a *model.Application) *application {
	return &application{
		ID: a.ObjectID, AppID: a.AppID, DisplayName: a.Name, UniqueName: orNull(a.UniqueName), Created: a.Created.UTC().Truncate(time.Second), Audience: oneTenant,
		IdentifierURIs: []string{}, Keys: showKeys(a.Certificates), Passwords: showPasswords(a.Secrets),
		Required: []struct{}{}, Tags: orEmpty(a.Tags),
		Fallback: a.Public, Public: redirects{orEmpty(a.PublicRedirects)}, Web: redirects{orEmpty(a.WebRedirects)},
	}
}

func applicationFields() fields {
	text := func(get func(*model.Application) string) field {
		return field{text: func(o model.Object) string {
			if a, ok := o.(*model.Application); ok {
				return get(a)
			}
			return ""
		}}
	}
	return fields{
		"id":          text(func(a *model.Application) string { return a.ObjectID }),
		"appid":       text(func(a *model.Application) string { return a.AppID }),
		"displayname": text(func(a *model.Application) string { return a.Name }),
		"uniquename":  text(func(a *model.Application) string { return a.UniqueName }),
		"tags": {list: func(o model.Object) []string {
			if a, ok := o.(*model.Application); ok {
				return a.Tags
			}
			return nil
		}},
		"identifieruris": {list: func(model.Object) []string { return nil }}, // there are none
	}
}

func (c *call) listApplications() error {
	return c.list(collection{
		name: "applications", fields: applicationFields(),
		direct: map[string]func(string) *store.Entry{
			"appid": func(v string) *store.Entry { return c.view.Get(model.ApplicationKey(v)) },
			"id":    func(v string) *store.Entry { return c.view.First(model.ApplicationIndex(v)) },
		},
		entries: func(after string) iter.Seq[*store.Entry] { return c.view.Prefix(model.ApplicationsKey, after) },
		holds: func(o model.Object) bool {
			_, ok := o.(*model.Application) // or a federated credential
			return ok
		},
		show: func(o model.Object) any { return showApplication(o.(*model.Application)) },
	})
}

// applicationInput is the body of create and update. An absent member changes
// nothing. Members that this server gives no meaning are ignored, unless
// somebody would rely on them.
type applicationInput struct {
	DisplayName    *string          `json:"displayName"`
	Audience       *string          `json:"signInAudience"`
	IdentifierURIs []string         `json:"identifierUris"`
	Keys           *[]keyInput      `json:"keyCredentials"`
	Passwords      []map[string]any `json:"passwordCredentials"`
	Fallback       *bool            `json:"isFallbackPublicClient"`
	Public         *redirects       `json:"publicClient"`
	Web            *redirects       `json:"web"`
	SPA            *redirects       `json:"spa"`
	Tags           *[]string        `json:"tags"`
}

// apply changes the members that the input has; a is the caller's own copy.
func (in *applicationInput) apply(a *model.Application, now time.Time) error {
	switch {
	case len(in.IdentifierURIs) > 0:
		return fail(badRequest, "The property 'identifierUris' is not supported: name an audience in the server's configuration instead.")
	case len(in.Passwords) > 0:
		return fail(badRequest, "The property 'passwordCredentials' cannot be written: use the actions addPassword and removePassword.")
	case in.Audience != nil && *in.Audience != oneTenant:
		return fail(badRequest, "The property 'signInAudience' must be %s: there is one tenant.", oneTenant)
	}
	if in.DisplayName != nil {
		a.Name = *in.DisplayName
	}
	if !validName(a.Name) {
		return fail(badRequest, "Invalid value specified for property 'displayName' of resource 'Application': it must have 1 to %d printable characters.", maxName)
	}
	if err := in.applyRedirects(a); err != nil {
		return err
	}
	var err error
	if a.Tags, err = readTags(in.Tags, a.Tags); err != nil || in.Keys == nil {
		return err
	}
	a.Certificates, err = readKeys(*in.Keys, a.Certificates, now)
	return err
}

func validName(s string) bool {
	return strings.TrimSpace(s) != "" && utf8.RuneCountInString(s) <= maxName &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

// createApplication makes an application without a service principal; clients ask
// for that next.
func (c *call) createApplication() error {
	var in applicationInput
	if err := c.read(&in, false); err != nil {
		return err
	}
	return c.addApplication(&in, "")
}

// addApplication makes an application. A unique name is taken by an object of its
// own: when two requests want it, one starts over and finds the other's application.
func (c *call) addApplication(in *applicationInput, uniqueName string) error {
	now := c.now()
	a := &model.Application{AppID: model.NewUUID(), ObjectID: model.NewUUID(), UniqueName: uniqueName, Created: now}
	if err := in.apply(a, now); err != nil {
		return err
	}
	ops := []store.Op{{Value: a}}
	if uniqueName != "" {
		ops = append(ops, store.Op{Value: &model.UniqueName{Name: uniqueName, AppID: a.AppID}})
	}
	if _, err := c.s.store.Commit(c.r.Context(), ops...); err != nil {
		return err
	}
	return c.replyApplication(http.StatusCreated, a)
}

func (c *call) replyApplication(status int, a *model.Application) error {
	out := showApplication(a)
	out.Context = c.context("applications/$entity")
	return c.reply(status, out)
}

func (c *call) getApplication() error {
	a, _, err := c.application()
	if err != nil {
		return err
	}
	return c.replyApplication(http.StatusOK, a)
}

func (c *call) updateApplication() error {
	var in applicationInput
	if err := c.read(&in, false); err != nil {
		return err
	}
	old, rev, err := c.application()
	if k := c.path.keys[0]; err != nil && k.by == byUniqueName && c.creates() {
		if !validName(k.value) {
			return fail(badRequest, "The unique name must have 1 to %d printable characters.", maxName)
		}
		return c.addApplication(&in, k.value)
	}
	if err != nil {
		return err
	}
	a := *old
	if err := in.apply(&a, c.now()); err != nil {
		return err
	}
	if err := c.save(&a, rev); err != nil {
		return err
	}
	return c.done()
}

// deleteApplication deletes the application first, so that its tokens stop,
// with its federated credentials and, wherever they are, its role assignments.
func (c *call) deleteApplication() error {
	a, rev, err := c.application()
	if err != nil {
		return err
	}
	ops := []store.Op{{Key: a.Key(), Rev: rev}, {Key: a.Key() + "/", Rev: store.Any, Tree: true}}
	if a.UniqueName != "" {
		ops = append(ops, store.Op{Key: model.UniqueNameKey(a.UniqueName), Rev: store.Any})
	}
	ops = append(ops, unassign(c.view, a)...)
	if err := c.s.commitAll(c.r.Context(), ops); err != nil {
		return err
	}
	return c.done()
}

// unassign deletes the role assignments of an application's service principal.
func unassign(v *store.View, a *model.Application) (ops []store.Op) {
	if a.PrincipalID == "" {
		return nil
	}
	for e := range v.Lookup(model.RoleIndex(a.PrincipalID)) {
		ops = append(ops, store.Op{Key: e.Key, Rev: store.Any})
	}
	return ops
}

// commitAll makes the writes in order, in as few commits as possible. The first
// ones matter most: an assignment that a crash leaves behind names nobody.
func (s *Server) commitAll(ctx context.Context, ops []store.Op) error {
	for len(ops) > 0 {
		n := min(len(ops), store.MaxOps)
		if _, err := s.store.Commit(ctx, ops[:n]...); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// now is the time as answers have it: whole seconds, UTC.
func (c *call) now() time.Time { return c.s.now().UTC().Truncate(time.Second) }
