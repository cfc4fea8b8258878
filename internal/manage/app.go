package manage

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
)

// Application is a client of the token service with credentials of its own.
type Application struct {
	ID          string   `json:"id"` // its object id
	AppID       string   `json:"appId"`
	DisplayName string   `json:"displayName"`
	Passwords   []AppKey `json:"passwordCredentials"`
	Keys        []AppKey `json:"keyCredentials"`
}

// AppKey is a secret or a certificate, without its value.
type AppKey struct {
	KeyID string    `json:"keyId"`
	End   time.Time `json:"endDateTime"`
}

// SignIn is what an application signs in with. The password is shown once.
type SignIn struct {
	AppID       string `json:"appId"`
	DisplayName string `json:"displayName"`
	Password    string `json:"password,omitempty"`
	Tenant      string `json:"tenant"`
	ObjectID    string `json:"objectId"`
	PrincipalID string `json:"servicePrincipalId"`
}

func appPath(appID string) string { return "/applications(appId='" + appID + "')" }

func noApp(appID string) error {
	return fault.WithHint(fault.Absent("no application has the client id %s", appID), "lanyard app list")
}

// Applications are found by client id.
func (c *Client) Applications() Collection[Application] {
	return Collection[Application]{
		api: c.Directory(), path: "/applications", id: appPath, directory: true,
		missing: func(_ context.Context, appID string) error { return noApp(appID) },
	}
}

// Principal is a service principal: what an application or an identity is to policies
// and roles.
type Principal struct {
	ID   string `json:"id"` // its object id
	Name string `json:"displayName"`
}

// Principal finds the service principal with a client id.
func (c *Client) Principal(ctx context.Context, appID string) (p Principal, err error) {
	_, err = c.Directory().Call(ctx, "GET", "/servicePrincipals(appId='"+appID+"')", nil, nil, &p)
	if client.IsNotFound(err) {
		err = noApp(appID)
	}
	return p, err
}

// NewApp is an application to make.
type NewApp struct {
	Name        string
	Certificate []byte // DER; nil for none
	Years       int    // how long its secret is good; 0 for no secret
}

// CreateApp makes the application, its service principal and, with years, a secret.
// What was made is taken back when a later step fails.
func (c *Client) CreateApp(ctx context.Context, want NewApp) (made SignIn, err error) {
	body := map[string]any{"displayName": want.Name}
	if want.Certificate != nil {
		body["keyCredentials"] = []any{map[string]string{
			"type": "AsymmetricX509Cert", "usage": "Verify", "key": base64.StdEncoding.EncodeToString(want.Certificate),
		}}
	}
	var app Application
	if _, err := c.Directory().Call(ctx, "POST", "/applications", nil, body, &app); err != nil {
		return made, err
	}
	defer func() {
		if err != nil {
			_, undone := c.Directory().Call(context.WithoutCancel(ctx), "DELETE", "/applications/"+app.ID, nil, nil, nil)
			err = errors.Join(err, undone)
		}
	}()
	var p Principal
	if _, err := c.Directory().Call(ctx, "POST", "/servicePrincipals", nil, map[string]string{"appId": app.AppID}, &p); err != nil {
		return made, err
	}
	made = c.signIn(app, p.ID)
	if want.Years > 0 {
		made.Password, err = c.addSecret(ctx, app.ID, want.Years)
	}
	return made, err
}

func (c *Client) signIn(app Application, principal string) SignIn {
	return SignIn{AppID: app.AppID, DisplayName: app.DisplayName, Tenant: c.Tenant, ObjectID: app.ID, PrincipalID: principal}
}

// ResetSecret gives an application a new secret, and removes those that it had.
func (c *Client) ResetSecret(ctx context.Context, appID string, years int) (s SignIn, err error) {
	found, err := c.Applications().Get(ctx, appID)
	if err != nil {
		return s, err
	}
	old := found.Is
	principal, err := c.Principal(ctx, old.AppID)
	if err != nil && !fault.IsAbsent(err) {
		return s, err
	}
	remove := func(k AppKey) error {
		_, err := c.Directory().Call(ctx, "POST", "/applications/"+old.ID+"/removePassword", nil, map[string]string{"keyId": k.KeyID}, nil)
		return err
	}
	// One stays until the new one is there; the others make room for it.
	for len(old.Passwords) > 1 {
		if err := remove(old.Passwords[0]); err != nil {
			return s, err
		}
		old.Passwords = old.Passwords[1:]
	}
	s = c.signIn(old, principal.ID)
	if s.Password, err = c.addSecret(ctx, old.ID, years); err != nil {
		return s, err
	}
	for _, k := range old.Passwords {
		if err := remove(k); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (c *Client) addSecret(ctx context.Context, objectID string, years int) (string, error) {
	var added struct {
		SecretText string `json:"secretText"`
	}
	body := map[string]any{"passwordCredential": map[string]any{
		"displayName": "lanyard", "endDateTime": time.Now().UTC().AddDate(years, 0, 0).Format(time.RFC3339),
	}}
	_, err := c.Directory().Call(ctx, "POST", "/applications/"+objectID+"/addPassword", nil, body, &added)
	return added.SecretText, err
}
