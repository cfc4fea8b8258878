package graph

import (
	"iter"
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// federated is a federated credential in answers.
// https://learn.microsoft.com/graph/api/resources/federatedidentitycredential
type federated struct {
	Context     string            `json:"@odata.context,omitempty"`
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Issuer      string            `json:"issuer"`
	Subject     *string           `json:"subject"`
	Audiences   []string          `json:"audiences"`
	Description *string           `json:"description"`
	Matching    *model.Expression `json:"claimsMatchingExpression,omitempty"`
}

func showFederated(f *model.FederatedCredential) *federated {
	return &federated{
		ID: f.ObjectID(), Name: f.Name, Issuer: f.Issuer, Subject: orNull(f.Subject), Audiences: f.Audiences,
		Description: orNull(f.Description), Matching: f.Matching,
	}
}

func federatedFields() fields {
	text := func(exact bool, get func(*model.FederatedCredential) string) field {
		return field{exact: exact, text: func(o model.Object) string {
			if f, ok := o.(*model.FederatedCredential); ok {
				return get(f)
			}
			return ""
		}}
	}
	return fields{
		"id":      text(false, (*model.FederatedCredential).ObjectID),
		"name":    text(false, func(f *model.FederatedCredential) string { return f.Name }),
		"issuer":  text(true, func(f *model.FederatedCredential) string { return f.Issuer }),
		"subject": text(true, func(f *model.FederatedCredential) string { return f.Subject }),
	}
}

func (c *call) listFederated() error {
	a, _, err := c.application()
	if err != nil {
		return err
	}
	return c.list(collection{
		name: "applications('" + a.ObjectID + "')/federatedIdentityCredentials", fields: federatedFields(),
		entries: func(after string) iter.Seq[*store.Entry] {
			return c.view.Prefix(a.Key()+model.FederatedCredentialSegment, after)
		},
		holds: func(o model.Object) bool {
			_, ok := o.(*model.FederatedCredential)
			return ok
		},
		show: func(o model.Object) any { return showFederated(o.(*model.FederatedCredential)) },
	})
}

// credentials walks an application's federated credentials.
func (c *call) credentials(a *model.Application) iter.Seq2[*model.FederatedCredential, int64] {
	return func(yield func(*model.FederatedCredential, int64) bool) {
		for e := range c.view.Prefix(a.Key()+model.FederatedCredentialSegment, "") {
			if f, ok := e.Value.(*model.FederatedCredential); ok && !yield(f, e.Rev) {
				return
			}
		}
	}
}

// credential finds the one that the path names, by its name or id.
func (c *call) credential(a *model.Application) (*model.FederatedCredential, int64, error) {
	k := c.path.keys[1]
	for f, rev := range c.credentials(a) {
		if strings.EqualFold(f.Name, k.value) || k.by != byName && model.ValidUUID(k.value) && f.ObjectID() == strings.ToLower(k.value) {
			return f, rev, nil
		}
	}
	return nil, 0, notFoundError(k.value)
}

// federatedInput is the body of create and update; an absent member changes
// nothing. A subject takes the place of an expression, and the other way round.
type federatedInput struct {
	Name        *string           `json:"name"`
	Issuer      *string           `json:"issuer"`
	Subject     *string           `json:"subject"`
	Audiences   []string          `json:"audiences"`
	Description *string           `json:"description"`
	Matching    *model.Expression `json:"claimsMatchingExpression"`
}

func (in *federatedInput) apply(f *model.FederatedCredential) error {
	for to, from := range map[*string]*string{&f.Issuer: in.Issuer, &f.Subject: in.Subject, &f.Description: in.Description} {
		if from != nil {
			*to = *from
		}
	}
	if in.Audiences != nil {
		f.Audiences = in.Audiences
	}
	switch {
	case in.Matching != nil:
		f.Matching = in.Matching
		if in.Subject == nil {
			f.Subject = ""
		}
	case in.Subject != nil && *in.Subject != "":
		f.Matching = nil
	}
	if err := f.Validate(); err != nil {
		return fail(badRequest, "The federated identity credential is invalid: %s.", err)
	}
	return nil
}

func (c *call) createFederated() error {
	var in federatedInput
	if err := c.read(&in, false); err != nil {
		return err
	}
	a, rev, err := c.application()
	if err != nil {
		return err
	}
	return c.addFederated(a, rev, &in)
}

// addFederated makes a new credential of an application.
func (c *call) addFederated(a *model.Application, appRev int64, in *federatedInput) error {
	if in.Name == nil || !model.ValidApplicationCredentialName(*in.Name) {
		return fail(badRequest, "The federated identity credential's name must have 1 to 120 characters that a URL holds as they are: "+
			"letters, digits, '-', '_', '.', '~' and '='.")
	}
	f := &model.FederatedCredential{ParentKey: a.Key()}
	f.Name, f.ID = *in.Name, a.Key()+"/federatedIdentityCredentials/"+*in.Name
	f.System.CreatedAt, f.System.CreatedBy = c.s.now().UTC(), c.caller.ObjectID
	if err := c.writeFederated(a, appRev, f, 0, in); err != nil {
		return err
	}
	return c.replyFederated(http.StatusCreated, a, f)
}

// writeFederated stores a new or changed credential. The application is written
// with it, unchanged: of two credentials written at once, each checked against
// the same others, one starts over; and none outlives its application.
func (c *call) writeFederated(a *model.Application, appRev int64, f *model.FederatedCredential, rev int64, in *federatedInput) error {
	if err := in.apply(f); err != nil {
		return err
	}
	f.System.ModifiedAt, f.System.ModifiedBy = c.s.now().UTC(), c.caller.ObjectID
	others := 0
	for g := range c.credentials(a) {
		if g.Key() == f.Key() {
			if rev == 0 {
				return fail(duplicate, "FederatedIdentityCredential with name %s already exists.", f.Name)
			}
			continue
		}
		others++
		if g.Same(f) {
			return fail(duplicate, "Issuer and subject combination already exists for this application, in the credential '%s'.", g.Name)
		}
	}
	if limit := c.s.maxCredentials; limit > 0 && others >= limit {
		return fail(quota, "An application may have at most %d federated identity credentials; this one has %d.", limit, others)
	}
	_, err := c.s.store.Commit(c.r.Context(), store.Op{Value: f, Rev: rev}, store.Op{Value: a, Rev: appRev})
	return err
}

func (c *call) replyFederated(status int, a *model.Application, f *model.FederatedCredential) error {
	out := showFederated(f)
	out.Context = c.context("applications('" + a.ObjectID + "')/federatedIdentityCredentials/$entity")
	return c.reply(status, out)
}

func (c *call) getFederated() error {
	a, _, err := c.application()
	if err != nil {
		return err
	}
	f, _, err := c.credential(a)
	if err != nil {
		return err
	}
	return c.replyFederated(http.StatusOK, a, f)
}

func (c *call) updateFederated() error {
	var in federatedInput
	if err := c.read(&in, false); err != nil {
		return err
	}
	a, appRev, err := c.application()
	if err != nil {
		return err
	}
	old, rev, err := c.credential(a)
	if k := c.path.keys[1]; err != nil && k.by == byName && c.creates() {
		if in.Name == nil {
			in.Name = &k.value
		} else if *in.Name != k.value {
			return fail(badRequest, "The property 'name' differs from the name in the request's path.")
		}
		return c.addFederated(a, appRev, &in)
	}
	if err != nil {
		return err
	}
	if in.Name != nil && *in.Name != old.Name {
		return fail(badRequest, "The property 'name' of a federated identity credential cannot be changed.")
	}
	f := *old
	if err := c.writeFederated(a, appRev, &f, rev, &in); err != nil {
		return err
	}
	return c.done()
}

func (c *call) deleteFederated() error {
	a, _, err := c.application()
	if err != nil {
		return err
	}
	f, rev, err := c.credential(a)
	if err != nil {
		return err
	}
	if err := c.s.store.Delete(c.r.Context(), f.Key(), rev); err != nil {
		return err
	}
	return c.done()
}
