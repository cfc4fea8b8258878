package access

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/obs"
)

// Claims is the payload of an access token, in the shape of Entra's v1.0
// tokens: what every Azure resource gets, whichever endpoint was asked.
// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
type Claims struct {
	Audience   string `json:"aud"`
	Issuer     string `json:"iss"`
	IssuedAt   int64  `json:"iat"`
	NotBefore  int64  `json:"nbf"`
	Expires    int64  `json:"exp"`
	AppID      string `json:"appid"`
	AppIDACR   string `json:"appidacr"` // how the client proved itself: 0 not, 1 secret, 2 certificate or assertion
	IDP        string `json:"idp"`
	Type       string `json:"idtyp"` // app or user
	ObjectID   string `json:"oid"`
	Subject    string `json:"sub"`
	TenantID   string `json:"tid"`
	TokenID    string `json:"uti"`
	Version    string `json:"ver"`
	IdentityID string `json:"xms_mirid,omitempty"`
	Name       string `json:"unique_name,omitempty"`
	UPN        string `json:"upn,omitempty"` // a user's name, again
	Scope      string `json:"scp,omitempty"` // what the client may do for the user
}

// TokenReason says why a request's access token was not accepted.
type TokenReason string

// The reasons.
const (
	TokenMissing   TokenReason = "missing"   // no Authorization: Bearer header
	TokenMalformed TokenReason = "malformed" // not a token of ours
	TokenSignature TokenReason = "signature" // no published key of ours signed it
	TokenForeign   TokenReason = "issuer"    // another tenant's, or another server's
	TokenAudience  TokenReason = "audience"  // meant for another surface
	TokenExpired   TokenReason = "expired"
	TokenNotYet    TokenReason = "not_yet"
)

// TokenError is in the chain of an Authenticate error, of kind apierr.Unauthenticated.
type TokenError struct {
	Reason    TokenReason
	Presented string // the offending value, when there is one; never the token
	Expected  string
}

func (e *TokenError) Error() string { return "access token refused: " + string(e.Reason) }

// TokenIssuer is the iss claim of the tokens that a name family's login host
// issues. Microsoft's is the fixed https://sts.windows.net/TENANT/.
func TokenIssuer(family *names.Hosts, tenantID string) string {
	if family.Azure {
		return "https://sts.windows.net/" + tenantID + "/"
	}
	return family.LoginURL() + "/" + tenantID + "/"
}

// Verifier checks a signature and gives the claims as JSON: signing.Keys.Verify.
type Verifier func(token string) (claims string, err error)

// Authenticator verifies the access tokens that our own token service issued.
type Authenticator struct {
	Verify   Verifier
	Names    *names.Names
	TenantID string
	Now      func() time.Time
	// Gate records tokens that were not accepted; nil: nobody does.
	Gate *Gate

	parsed parsed
}

// tokenSkew is how far this replica's clock may differ from the one that issued.
const tokenSkew = time.Minute

// Authenticate finds who calls a surface: it checks the bearer token's
// signature, issuer, times and that its audience names the surface. The error
// is of kind apierr.Unauthenticated with a *TokenError in its chain. A token that
// was brought and not accepted is recorded.
func (a *Authenticator) Authenticate(r *http.Request, surface names.Surface) (model.Caller, error) {
	caller, err := a.authenticate(r, surface)
	if err == nil {
		return caller, nil
	}
	if a.Gate != nil {
		if unrecorded := a.Gate.refuseToken(r.Context(), &caller, err); unrecorded != nil {
			return model.Caller{}, unrecorded
		}
	}
	return model.Caller{}, err
}

// actionToken is the action of the record of a token that was not accepted.
const actionToken = "token.use"

// refuseToken records that a token was not accepted. SDKs ask a vault without one
// first, to be told where to get it: that is no attempt.
func (g *Gate) refuseToken(ctx context.Context, caller *model.Caller, err error) error {
	e, ok := errors.AsType[*TokenError](err)
	if !ok || e.Reason == TokenMissing {
		return nil
	}
	r := &audit.Record{
		Action: actionToken, Resource: obs.RequestFrom(ctx).Host, Code: "token_" + string(e.Reason),
		Reason: "The access token was not accepted: " + tokenReasons[e.Reason] + ".",
	}
	if e.Presented != "" {
		r.Reason += " It says " + e.Presented + "."
	}
	if caller.ObjectID != "" { // our signature is on it
		r.Caller = caller
	}
	return g.Exchange(ctx, r)
}

// tokenReasons are the reasons in words.
var tokenReasons = map[TokenReason]string{
	TokenMalformed: "it is no token of this server's",
	TokenSignature: "no key of this server's signed it",
	TokenForeign:   "another tenant or server issued it",
	TokenAudience:  "it is for something else",
	TokenExpired:   "it has expired",
	TokenNotYet:    "it is not valid yet",
}

// authenticate gives the caller with an error too, once the signature is known to
// be ours.
func (a *Authenticator) authenticate(r *http.Request, surface names.Surface) (model.Caller, error) {
	token, ok := bearer(r)
	if !ok {
		return model.Caller{}, tokenError(TokenMissing, "", "")
	}
	payload, err := a.Verify(token)
	if apierr.KindOf(err) == apierr.Unavailable {
		return model.Caller{}, err
	}
	if err != nil {
		return model.Caller{}, tokenError(TokenSignature, "", "")
	}
	c, err := a.parsed.claims(payload)
	if err != nil {
		return model.Caller{}, tokenError(TokenMalformed, "", "")
	}
	return model.Caller{
		ObjectID: c.ObjectID, AppID: c.AppID, TenantID: c.TenantID, Issuer: c.Issuer,
		Type: c.Type, IdentityID: c.IdentityID, Name: c.Name, TokenID: c.TokenID,
	}, a.check(c, surface)
}

func (a *Authenticator) check(c *Claims, surface names.Surface) error {
	now := a.Now()
	switch {
	case c.TenantID != a.TenantID || !strings.HasSuffix(c.Issuer, "/"+a.TenantID+"/"):
		return tokenError(TokenForeign, c.Issuer, TokenIssuer(a.Names.Own(), a.TenantID))
	case a.Names.Audience(c.Audience) != surface:
		return tokenError(TokenAudience, c.Audience, "")
	case now.Unix() >= c.Expires:
		return tokenError(TokenExpired, time.Unix(c.Expires, 0).UTC().Format(time.RFC3339), "")
	case now.Add(tokenSkew).Unix() < c.NotBefore:
		return tokenError(TokenNotYet, time.Unix(c.NotBefore, 0).UTC().Format(time.RFC3339), "")
	}
	return nil
}

// bearer is the request's one token. Of several, two readers could take different ones.
func bearer(r *http.Request) (string, bool) {
	if len(r.Header["Authorization"]) > 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

func tokenError(reason TokenReason, presented, expected string) error {
	err := &TokenError{Reason: reason, Presented: presented, Expected: expected}
	return apierr.Wrap(err, apierr.Unauthenticated, "the access token was not accepted: %s", reason)
}
