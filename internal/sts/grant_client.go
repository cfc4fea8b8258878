package sts

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
)

// clientGrant is for a client that asks for itself, by its proof alone.
// https://www.rfc-editor.org/rfc/rfc6749#section-4.4
var clientGrant = grant{
	name:  "client_credentials",
	scope: (*request).readResource,
	find: func(_ *Server, _ context.Context, q *request) (subject, error) {
		return (*clientSubject)(q), nil
	},
}

// clientSubject is a request whose token is for its client.
type clientSubject request

func (*clientSubject) redeem(context.Context) error { return nil }

func (c *clientSubject) reason() string { return c.proof.reason }

func (c *clientSubject) claims(a *access.Claims) {
	a.Type, a.Expires = "app", a.IssuedAt+int64((backdate+c.client.lifetime)/time.Second)
	a.ObjectID, a.Subject, a.IdentityID = c.client.principalID, c.client.principalID, c.client.identityID
}

// tokenBody is the v2 answer: lifetimes are numbers.
type tokenBody struct {
	Type       string `json:"token_type"`
	Expires    int64  `json:"expires_in"`
	ExtExpires int64  `json:"ext_expires_in"`
	Refresh    int64  `json:"refresh_in,omitempty"`
	Token      string `json:"access_token"`
}

// tokenBodyV1 is the answer to a request with resource=: lifetimes are strings.
type tokenBodyV1 struct {
	Type       string `json:"token_type"`
	Expires    string `json:"expires_in"`
	ExtExpires string `json:"ext_expires_in"`
	ExpiresOn  string `json:"expires_on"`
	NotBefore  string `json:"not_before"`
	Resource   string `json:"resource"`
	Token      string `json:"access_token"`
}

// refreshFrom is the lifetime from which clients are told to refresh early.
const refreshFrom = 2 * time.Hour

func (c *clientSubject) answer(w http.ResponseWriter, a *access.Claims, token string) error {
	seconds, refresh := lifetimes(c.client.lifetime)
	if c.scope.olderForm {
		in := strconv.FormatInt(seconds, 10)
		return httpx.WriteJSON(w, http.StatusOK, tokenBodyV1{
			Type: "Bearer", Expires: in, ExtExpires: in, ExpiresOn: strconv.FormatInt(a.Expires, 10),
			NotBefore: strconv.FormatInt(a.NotBefore, 10), Resource: c.scope.resource, Token: token,
		})
	}
	return httpx.WriteJSON(w, http.StatusOK, tokenBody{Type: "Bearer", Expires: seconds, ExtExpires: seconds, Refresh: refresh, Token: token})
}

// lifetimes are the seconds until a token ends, and until it should be replaced if that is
// worth telling.
func lifetimes(life time.Duration) (expires, refresh int64) {
	if life >= refreshFrom {
		refresh = int64(life/time.Second) / 2
	}
	return int64(life/time.Second) - 1, refresh // as Entra: 3599
}
