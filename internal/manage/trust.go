package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// trustPath is where Resource Manager has what is Lanyard's own.
const trustPath = "/providers/Lanyard.Trust"

// Issuer is how to trust a foreign issuer.
type Issuer struct {
	ID         string           `json:"id,omitempty"`
	Name       string           `json:"name,omitempty"`
	Properties IssuerProperties `json:"properties"`
}

// IssuerProperties without keys have them discovered, without roots are for the
// system's authorities.
type IssuerProperties struct {
	URL   string          `json:"url"`
	Keys  json.RawMessage `json:"keys,omitempty"`  // a JWKS
	Roots string          `json:"roots,omitempty"` // PEM
}

// Issuers are the issuers with settings, found by URL.
func (c *Client) Issuers() Collection[Issuer] {
	return Collection[Issuer]{
		api: c.ResourceManager(trustVersion), path: trustPath + "/issuers",
		id: func(url string) string { return trustPath + model.IssuerKey(strings.TrimSpace(url)) },
		missing: func(_ context.Context, url string) error {
			return fault.WithHint(fmt.Errorf("the issuer %s has no settings", url), "lanyard issuer list")
		},
	}
}

// TrustIssuer sets how to trust an issuer, whatever was set before.
func (c *Client) TrustIssuer(ctx context.Context, p IssuerProperties) error {
	_, err := c.Issuers().Put(ctx, p.URL, Issuer{Properties: p})
	return err
}

// IssuerChange is what is to change of an issuer's settings: nil stays, empty ends.
type IssuerChange struct {
	Keys  *json.RawMessage
	Roots *string
}

// SetIssuer changes an issuer's settings; at least one must be left.
func (c *Client) SetIssuer(ctx context.Context, url string, change IssuerChange) (Whole[Issuer], error) {
	return c.Issuers().Change(ctx, url, func(old *Issuer) (any, error) {
		p := IssuerProperties{URL: url}
		if old != nil {
			p.Keys, p.Roots = old.Properties.Keys, old.Properties.Roots
		}
		if change.Keys != nil {
			p.Keys = *change.Keys
		}
		if change.Roots != nil {
			p.Roots = *change.Roots
		}
		if len(p.Keys) == 0 && p.Roots == "" {
			return nil, fault.WithHint(errors.New("that would leave no setting of the issuer"), "lanyard issuer delete "+shell.Quote(url))
		}
		return Issuer{Properties: p}, nil
	})
}

// SigningKey is one of the token service's own keys.
type SigningKey struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"alg"`
	State     string    `json:"state"` // prepared, active or retired
	Created   time.Time `json:"created"`
}

// SigningKeys are the keys that sign access tokens.
func (c *Client) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	return c.signingKeys(ctx, "GET", "")
}

// RotateKeys has the token service sign with new keys from now on.
func (c *Client) RotateKeys(ctx context.Context) ([]SigningKey, error) {
	return c.signingKeys(ctx, "POST", "/rotate")
}

func (c *Client) signingKeys(ctx context.Context, method, action string) ([]SigningKey, error) {
	var keys struct {
		Value []SigningKey `json:"value"`
	}
	_, err := c.ResourceManager(trustVersion).Call(ctx, method, trustPath+"/signingKeys"+action, nil, nil, &keys)
	return keys.Value, err
}

// Decisions are the records of the audit log that a query wants. The answer says
// which servers could not be asked.
func (c *Client) Decisions(ctx context.Context, q audit.Query) (answer audit.Answer, err error) {
	path := trustPath + "/decisions"
	if q.ID != "" {
		path += "/" + url.PathEscape(q.ID)
	} else if v := q.Values(); len(v) > 0 {
		path += "?" + v.Encode()
	}
	_, err = c.ResourceManager(trustVersion).Call(ctx, "GET", path, nil, nil, &answer)
	if answer.Value == nil {
		answer.Value = []audit.Record{}
	}
	return answer, err
}
