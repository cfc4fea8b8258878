package manage

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// Credential is a federated credential: a foreign token that may stand for its owner.
type Credential struct {
	ID         string               `json:"id,omitempty"`
	Name       string               `json:"name,omitempty"`
	Properties CredentialProperties `json:"properties"`
}

// CredentialProperties have a subject or an expression.
type CredentialProperties struct {
	Issuer     string      `json:"issuer"`
	Subject    string      `json:"subject,omitempty"`
	Audiences  []string    `json:"audiences"`
	Expression *Expression `json:"claimsMatchingExpression,omitempty"`
}

// Expression is over the claims of a token.
type Expression struct {
	Value           string `json:"value"`
	LanguageVersion int    `json:"languageVersion"`
}

// NewExpression is one in the only language that there is.
func NewExpression(value string) *Expression { return &Expression{Value: value, LanguageVersion: 1} }

// Credentials are the federated credentials of one owner: an identity, whose are
// resources, or an application, whose are in the directory.
type Credentials struct{ Collection[Credential] }

const credentialsPath = "/federatedIdentityCredentials"

// Credentials are an identity's.
func (c *Client) Credentials(group, identity string) Credentials {
	path := c.Identities(group).ID(identity) + credentialsPath
	return Credentials{Collection[Credential]{
		api: c.ResourceManager(identityVersion), path: path,
		id: func(name string) string { return path + "/" + url.PathEscape(name) },
		missing: func(ctx context.Context, name string) error {
			if _, found, err := c.Identities(group).Lookup(ctx, identity); !found && err == nil {
				return c.missing(ctx, group, identityKind(), identity)
			}
			hint := "lanyard credential list --identity " + shell.Quote(identity)
			if group != DefaultGroup {
				hint += " -g " + shell.Quote(group)
			}
			return fault.WithHint(fault.Absent("no federated credential %q of the identity %s", name, identity), hint)
		},
	}}
}

// appCredential is one as the directory shows it.
type appCredential struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	CredentialProperties
}

// AppCredentials are those of the application with a client id.
func (c *Client) AppCredentials(appID string) Credentials {
	path := appPath(appID) + credentialsPath
	return Credentials{Collection[Credential]{
		api: c.Directory(), path: path, directory: true,
		id: func(name string) string { return path + "/" + url.PathEscape(name) },
		read: func(raw json.RawMessage) (Whole[Credential], error) {
			var one appCredential
			err := json.Unmarshal(raw, &one)
			return Whole[Credential]{Is: Credential{ID: one.ID, Name: one.Name, Properties: one.CredentialProperties}}, err
		},
		missing: func(ctx context.Context, name string) error {
			if _, found, err := c.Applications().Lookup(ctx, appID); !found && err == nil {
				return noApp(appID)
			}
			return fault.WithHint(fault.Absent("no federated credential %q of the application %s", name, appID), "lanyard credential list --app "+appID)
		},
	}}
}

// Create makes a credential. When there is one of that name nothing is changed: made
// is false, and got is what there is.
func (s Credentials) Create(ctx context.Context, name string, p CredentialProperties) (got Whole[Credential], made bool, err error) {
	if !s.directory {
		got, made, err = s.Collection.Create(ctx, name, Credential{Properties: p})
		return got, made, s.worded(ctx, name, err)
	}
	got, err = s.call(ctx, http.MethodPost, s.path, nil, appCredential{Name: name, CredentialProperties: p})
	if client.IsStatus(err, http.StatusConflict) {
		if there, _, err := s.get(ctx, name); err == nil {
			return there, false, nil
		}
	}
	return got, err == nil, err
}

// CredentialChange is what is to change: nil stays. A subject takes the place of an
// expression, and the other way round.
type CredentialChange struct {
	Issuer, Subject, Match, Audience *string
}

// Update changes what change names, and keeps all else.
func (s Credentials) Update(ctx context.Context, name string, change CredentialChange) (Whole[Credential], error) {
	if s.directory {
		if _, err := s.patch(ctx, name, change.patch()); err != nil {
			return Whole[Credential]{}, err
		}
		return s.Get(ctx, name)
	}
	got, err := s.Change(ctx, name, func(old *Credential) (any, error) {
		if old == nil {
			return nil, &client.Error{Status: http.StatusNotFound}
		}
		return Credential{Properties: change.apply(old.Properties)}, nil
	})
	return got, s.worded(ctx, name, err)
}

func (u CredentialChange) apply(p CredentialProperties) CredentialProperties {
	if u.Issuer != nil {
		p.Issuer = *u.Issuer
	}
	if u.Subject != nil {
		p.Subject, p.Expression = *u.Subject, nil
	}
	if u.Match != nil {
		p.Subject, p.Expression = "", NewExpression(*u.Match)
	}
	if u.Audience != nil {
		p.Audiences = []string{*u.Audience}
	}
	return p
}

// patch is the same for the directory.
func (u CredentialChange) patch() map[string]any {
	p := map[string]any{}
	if u.Issuer != nil {
		p["issuer"] = *u.Issuer
	}
	if u.Subject != nil {
		p["subject"] = *u.Subject
	}
	if u.Match != nil {
		p["claimsMatchingExpression"] = NewExpression(*u.Match)
	}
	if u.Audience != nil {
		p["audiences"] = []string{*u.Audience}
	}
	return p
}
