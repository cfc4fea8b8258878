package graph

import (
	"iter"
	"net/http"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// principal is a service principal in answers: an application's, or a managed identity.
// https://learn.microsoft.com/graph/api/resources/serviceprincipal
type principal struct {
	Context      string               `json:"@odata.context,omitempty"`
	Type         string               `json:"@odata.type,omitempty"`
	ID           string               `json:"id"`
	AppID        string               `json:"appId"`
	DisplayName  string               `json:"displayName"`
	AppName      string               `json:"appDisplayName"`
	Owner        string               `json:"appOwnerOrganizationId"`
	Enabled      bool                 `json:"accountEnabled"`
	Kind         string               `json:"servicePrincipalType"`
	Names        []string             `json:"servicePrincipalNames"`
	Alternatives []string             `json:"alternativeNames"`
	Keys         []keyCredential      `json:"keyCredentials"`
	Passwords    []passwordCredential `json:"passwordCredentials"`
	Tags         []string             `json:"tags"`
}

const (
	kindApplication = "Application"
	kindIdentity    = "ManagedIdentity"
)

// showPrincipal gives nil for an object that is no service principal.
func (c *call) showPrincipal(o model.Object) *principal {
	switch o := o.(type) {
	case *model.Application:
		if o.PrincipalID == "" {
			return nil
		}
		return &principal{
			ID: o.PrincipalID, AppID: o.AppID, DisplayName: o.Name, AppName: o.Name, Owner: c.s.tenantID,
			Enabled: !o.Disabled, Kind: kindApplication, Names: []string{o.AppID}, Alternatives: []string{},
			Keys: showKeys(o.Certificates), Passwords: showPasswords(o.Secrets), Tags: principalTags(o),
		}
	case *model.Identity:
		return &principal{
			ID: o.PrincipalID, AppID: o.ClientID, DisplayName: o.Name, AppName: o.Name, Owner: c.s.tenantID,
			Enabled: true, Kind: kindIdentity, Names: []string{o.ClientID}, Alternatives: []string{"isExplicit=True", o.ID},
			Keys: []keyCredential{}, Passwords: []passwordCredential{}, Tags: []string{},
		}
	}
	return nil
}

func (c *call) principalFields() fields {
	either := func(app func(*model.Application) string, identity func(*model.Identity) string) field {
		return field{text: func(o model.Object) string {
			switch o := o.(type) {
			case *model.Application:
				return app(o)
			case *model.Identity:
				return identity(o)
			}
			return ""
		}}
	}
	return fields{
		"id":          either(func(a *model.Application) string { return a.PrincipalID }, func(i *model.Identity) string { return i.PrincipalID }),
		"appid":       either(func(a *model.Application) string { return a.AppID }, func(i *model.Identity) string { return i.ClientID }),
		"displayname": either(func(a *model.Application) string { return a.Name }, func(i *model.Identity) string { return i.Name }),
		"serviceprincipaltype": either(
			func(*model.Application) string { return kindApplication }, func(*model.Identity) string { return kindIdentity }),
		"serviceprincipalnames": {list: func(o model.Object) []string { return c.showPrincipal(o).Names }},
		"tags":                  {list: func(o model.Object) []string { return c.showPrincipal(o).Tags }},
		"alternativenames":      {list: func(o model.Object) []string { return c.showPrincipal(o).Alternatives }},
	}
}

func isPrincipal(o model.Object) bool {
	switch o := o.(type) {
	case *model.Application:
		return o.PrincipalID != ""
	case *model.Identity:
		return true
	}
	return false
}

func (c *call) listPrincipals() error {
	byClient := func(v string) *store.Entry { return c.view.First(model.ClientIndex(v)) }
	return c.list(collection{
		name: "servicePrincipals", fields: c.principalFields(),
		direct: map[string]func(string) *store.Entry{
			"appid": byClient, "serviceprincipalnames": byClient,
			"id": func(v string) *store.Entry { return c.view.First(model.PrincipalIndex(v)) },
		},
		entries: c.principals,
		holds:   isPrincipal,
		show:    func(o model.Object) any { return c.showPrincipal(o) },
	})
}

// principals walks the applications, then all resources, of which identities
// are some.
func (c *call) principals(after string) iter.Seq[*store.Entry] {
	return func(yield func(*store.Entry) bool) {
		for _, prefix := range []string{model.ApplicationsKey, "/subscriptions/"} {
			for e := range c.view.Prefix(prefix, after) {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// findPrincipal is the entry of the service principal that the path names.
func (c *call) findPrincipal() (*principal, error) {
	k := c.path.keys[0]
	index := model.PrincipalIndex(k.value)
	if k.by == byAppID {
		index = model.ClientIndex(k.value)
	}
	if e := c.view.First(index); e != nil {
		if p := c.showPrincipal(e.Value); p != nil {
			return p, nil
		}
	}
	return nil, notFoundError(k.value)
}

func (c *call) getPrincipal() error {
	p, err := c.findPrincipal()
	if err != nil {
		return err
	}
	return c.replyPrincipal(http.StatusOK, p)
}

func (c *call) replyPrincipal(status int, p *principal) error {
	p.Context = c.context("servicePrincipals/$entity")
	return c.reply(status, p)
}

// createPrincipal gives an application its service principal: from now on it
// can sign in and be given roles.
func (c *call) createPrincipal() error {
	var in struct {
		AppID   string    `json:"appId"`
		Enabled *bool     `json:"accountEnabled"`
		Tags    *[]string `json:"tags"`
	}
	if err := c.read(&in, false); err != nil {
		return err
	}
	if !model.ValidUUID(in.AppID) {
		return fail(badRequest, "Invalid value specified for property 'appId' of resource 'ServicePrincipal'.")
	}
	old, rev, ok := store.Get[*model.Application](c.view, model.ApplicationKey(in.AppID))
	if !ok {
		return fail(badRequest, "The appId '%s' of the service principal does not reference a valid application object.", in.AppID)
	}
	if old.PrincipalID != "" {
		return fail(duplicate, "The service principal cannot be created, updated, or restored because the service principal name %s is already in use.", old.AppID)
	}
	a := *old
	a.PrincipalID = model.NewUUID()
	a.Disabled = in.Enabled != nil && !*in.Enabled
	var err error
	if a.PrincipalTags, err = readTags(in.Tags, nil); err != nil {
		return err
	}
	if err := c.save(&a, rev); err != nil {
		return err
	}
	return c.replyPrincipal(http.StatusCreated, c.showPrincipal(&a))
}

func (c *call) updatePrincipal() error {
	var in struct {
		Enabled *bool       `json:"accountEnabled"`
		Keys    *[]keyInput `json:"keyCredentials"`
		Tags    *[]string   `json:"tags"`
	}
	if err := c.read(&in, false); err != nil {
		return err
	}
	old, rev, err := c.application()
	if err != nil {
		return err
	}
	a := *old
	if in.Enabled != nil {
		a.Disabled = !*in.Enabled
	}
	if a.PrincipalTags, err = readTags(in.Tags, old.PrincipalTags); err != nil {
		return err
	}
	if in.Keys != nil {
		if a.Certificates, err = readKeys(*in.Keys, old.Certificates, c.now()); err != nil {
			return err
		}
	}
	if err := c.save(&a, rev); err != nil {
		return err
	}
	return c.done()
}

// deletePrincipal takes an application's service principal away, with its role
// assignments. One that is made later is another: it has another object id.
func (c *call) deletePrincipal() error {
	old, rev, err := c.application()
	if err != nil {
		return err
	}
	a := *old
	a.PrincipalID, a.Disabled, a.PrincipalTags = "", false, nil
	ops := append([]store.Op{{Value: &a, Rev: rev}}, unassign(c.view, old)...)
	if err := c.s.commitAll(c.r.Context(), ops); err != nil {
		return err
	}
	return c.done()
}
