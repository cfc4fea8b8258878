package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// credential is a federated credential as ARM shows it.
type credential struct {
	ID         string               `json:"id"`
	Name       string               `json:"name"`
	Properties credentialProperties `json:"properties"`
}

type credentialProperties struct {
	Issuer     string      `json:"issuer"`
	Subject    string      `json:"subject,omitempty"`
	Audiences  []string    `json:"audiences"`
	Expression *expression `json:"claimsMatchingExpression,omitempty"`
}

type expression struct {
	Value           string `json:"value"`
	LanguageVersion int    `json:"languageVersion"`
}

func credentialTable(all ...credential) table {
	t := table{head: []string{"NAME", "ISSUER", "SUBJECT", "AUDIENCE"}}
	for _, c := range all {
		subject := c.Properties.Subject
		if c.Properties.Expression != nil {
			subject = c.Properties.Expression.Value
		}
		t.rows = append(t.rows, []string{c.Name, c.Properties.Issuer, subject, strings.Join(c.Properties.Audiences, " ")})
	}
	return t
}

// credentialOwner is whose federated credentials a command is about: an identity,
// whose are resources, or an application, whose are in the directory.
type credentialOwner struct {
	target
	identity, app string
}

// directoryCredential is one as the directory shows it.
type directoryCredential struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	credentialProperties
}

func (d directoryCredential) credential() credential {
	return credential{ID: d.ID, Name: d.Name, Properties: d.credentialProperties}
}

func (o *credentialOwner) resource(c *client.Client) string {
	return o.identityID(c, o.identity) + "/federatedIdentityCredentials"
}

func (o *credentialOwner) directory() string {
	return appPath(o.app) + "/federatedIdentityCredentials"
}

// check is for before the server is asked.
func (o *credentialOwner) check() error {
	if o.app != "" {
		return checkAppID(o.app)
	}
	return nil
}

// create makes a credential; when there is one of that name, it is given as it is.
func (o *credentialOwner) create(ctx context.Context, c *client.Client, name string, p credentialProperties) (got whole[credential], made bool, err error) {
	if o.app == "" {
		made, err = c.Create(ctx, o.resource(c)+"/"+url.PathEscape(name), identityVersion, map[string]any{"properties": p}, &got)
		return got, made, o.worded(ctx, c, name, err)
	}
	var one directoryCredential
	err = c.Graph(ctx, "POST", o.directory(), directoryCredential{Name: name, credentialProperties: p}, &one)
	if e, ok := errors.AsType[*client.Error](err); ok && e.Status == http.StatusConflict {
		if there, _, showErr := o.show(ctx, c, name); showErr == nil {
			return there, false, nil
		}
	}
	return whole[credential]{is: one.credential()}, true, err
}

func (o *credentialOwner) show(ctx context.Context, c *client.Client, name string) (got whole[credential], etag string, err error) {
	if o.app == "" {
		etag, err = c.Read(ctx, o.resource(c)+"/"+url.PathEscape(name), identityVersion, &got)
		return got, etag, o.worded(ctx, c, name, err)
	}
	var one directoryCredential
	err = c.Graph(ctx, "GET", o.directory()+"/"+url.PathEscape(name), nil, &one)
	return whole[credential]{is: one.credential()}, "", o.worded(ctx, c, name, err)
}

// update changes what change changes, and keeps all else.
func (o *credentialOwner) update(ctx context.Context, c *client.Client, name string, want credentialUpdate) (got whole[credential], err error) {
	if o.app != "" {
		err = c.Graph(ctx, "PATCH", o.directory()+"/"+url.PathEscape(name), want.patch(), nil)
		if err != nil {
			return got, o.worded(ctx, c, name, err)
		}
		got, _, err = o.show(ctx, c, name)
		return got, err
	}
	err = client.Again(func() error {
		old, etag, err := o.show(ctx, c, name)
		if err != nil {
			return err
		}
		body := map[string]any{"properties": want.apply(old.is.Properties)}
		return c.PutIf(ctx, o.resource(c)+"/"+url.PathEscape(name), identityVersion, etag, body, &got)
	})
	return got, err
}

// worded says in words whether the credential is missing or its owner.
func (o *credentialOwner) worded(ctx context.Context, c *client.Client, name string, err error) error {
	if !client.IsNotFound(err) {
		return err
	}
	if o.app != "" {
		if client.IsNotFound(c.Graph(ctx, "GET", appPath(o.app), nil, nil)) {
			return noApp(o.app)
		}
		return fault.WithHint(fault.Absent("no federated credential %q of the application %s", name, o.app), "lanyard credential list --app "+o.app)
	}
	if client.IsNotFound(c.ARM(ctx, "GET", o.identityID(c, o.identity), identityVersion, nil, nil)) {
		return o.missing(ctx, c, identityKind(), o.identity)
	}
	hint := "lanyard credential list --identity " + shell.Quote(o.identity)
	if o.group != defaultGroup {
		hint += " -g " + shell.Quote(o.group)
	}
	return fault.WithHint(fault.Absent("no federated credential %q of the identity %s", name, o.identity), hint)
}

func (o *credentialOwner) list(ctx context.Context, c *client.Client) ([]whole[credential], error) {
	if o.app == "" {
		all, err := listAll[whole[credential]](ctx, c, o.resource(c), identityVersion)
		return all, o.worded(ctx, c, "", err)
	}
	all := []whole[credential]{}
	err := c.GraphList(ctx, o.directory(), func(raw json.RawMessage) error {
		var one directoryCredential
		err := json.Unmarshal(raw, &one)
		all = append(all, whole[credential]{is: one.credential()})
		return err
	})
	return all, o.worded(ctx, c, "", err)
}

func (o *credentialOwner) remove(ctx context.Context, c *client.Client, name string) error {
	if o.app != "" {
		return o.worded(ctx, c, name, c.Graph(ctx, "DELETE", o.directory()+"/"+url.PathEscape(name), nil, nil))
	}
	found, err := c.Delete(ctx, o.resource(c)+"/"+url.PathEscape(name), identityVersion)
	if err == nil && !found {
		err = &client.Error{Status: http.StatusNotFound}
	}
	return o.worded(ctx, c, name, err)
}
