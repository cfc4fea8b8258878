package sts

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/obs"
)

// code is an AADSTS error number.
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
type code int

// The codes that this server answers with.
const (
	codeTenantUnknown      code = 90002
	codeTenantMalformed    code = 900023
	codeTenantMissing      code = 50059 // a client alone does not tell the tenant
	codeInstance           code = 50049
	codeMalformed          code = 9002313
	codeMethod             code = 900561
	codeParameter          code = 900144
	codeGrantType          code = 70003
	codeScope              code = 70011
	codeScopeDefault       code = 1002012
	codeScopeResources     code = 28000 // a user's; a client alone gets codeScope
	codeResource           code = 500011
	codeClient             code = 700016
	codeClientDisabled     code = 7000112
	codeNoCredential       code = 7000216
	codeSecret             code = 7000215
	codeSecretExpired      code = 7000222
	codeAssertionMalformed code = 50027
	codeAlgorithm          code = 5002730 // not accepted, or not for the key that is named
	codeAssertionClient    code = 700021
	codeAssertionAudience  code = 700023
	codeTime               code = 700024
	codeSignature          code = 700027
	codeKey                code = 7000272
	codeFederatedIssuer    code = 700211
	codeFederatedAudience  code = 700212
	codeFederatedSubject   code = 700213
	codeSubjectTemplated   code = 7002137
	codeSubjectCase        code = 7002138
	codeOwnToken           code = 700222 // an assertion that we issued ourselves
	codeUnreachable        code = 50166
	codeClientProof        code = 7000218
	codeRedirect           code = 50011
	codeResponseType       code = 700054
	codeResponseMode       code = 9002322
	codeChallenge          code = 9002325 // there must be one
	codeVerifier           code = 501481  // it does not match the challenge
	codeGrantUnknown       code = 70000   // or another client's
	codeGrantUsed          code = 54005
	codeGrantRevoked       code = 50173
	codeGrantExpired       code = 700082
	codeCodeExpired        code = 70008
	codePassword           code = 50126
	codePasswordExpired    code = 50055
	codeUserDisabled       code = 50057
	codeUserLocked         code = 50053
	codeInteraction        code = 50058
	codeCancelled          code = 65004
	codeDevicePending      code = 70016
	codeDeviceDeclined     code = 70018
	codeDeviceExpired      code = 70020
	codeForgery            code = 165000 // the form is not of our page
	codeThrottled          code = 90025
	codeUnavailable        code = 90033
	codeInternal           code = 50000
)

// meaning is what goes with a code on the wire.
type meaning struct {
	kind   apierr.Kind
	oauth  string // https://www.rfc-editor.org/rfc/rfc6749#section-5.2
	status int
	// late: another replica may have written meanwhile what was not found, so
	// this refusal is checked against the store before it is given.
	late bool
}

// catalogue holds every code. Federation mismatches are 401: MSAL for Python
// replays a 400 from its cache for a minute.
var catalogue = map[code]meaning{
	codeTenantUnknown:      {apierr.Invalid, "invalid_request", 400, false},
	codeTenantMalformed:    {apierr.Invalid, "invalid_request", 400, false},
	codeTenantMissing:      {apierr.Invalid, "invalid_request", 400, false},
	codeInstance:           {apierr.Invalid, "invalid_instance", 400, false},
	codeMalformed:          {apierr.Invalid, "invalid_request", 400, false},
	codeMethod:             {apierr.MethodNotAllowed, "invalid_request", 405, false},
	codeParameter:          {apierr.Invalid, "invalid_request", 400, false},
	codeGrantType:          {apierr.Invalid, "unsupported_grant_type", 400, false},
	codeScope:              {apierr.Invalid, "invalid_scope", 400, false},
	codeScopeDefault:       {apierr.Invalid, "invalid_scope", 400, false},
	codeScopeResources:     {apierr.Invalid, "invalid_request", 400, false},
	codeResource:           {apierr.Invalid, "invalid_resource", 400, false},
	codeClient:             {apierr.Unauthenticated, "unauthorized_client", 400, true},
	codeClientDisabled:     {apierr.Unauthenticated, "unauthorized_client", 400, true},
	codeNoCredential:       {apierr.Unauthenticated, "invalid_client", 401, false},
	codeSecret:             {apierr.Unauthenticated, "invalid_client", 401, true},
	codeSecretExpired:      {apierr.Unauthenticated, "invalid_client", 401, false},
	codeAssertionMalformed: {apierr.Unauthenticated, "invalid_request", 400, false},
	codeAlgorithm:          {apierr.Unauthenticated, "invalid_request", 400, false},
	codeAssertionClient:    {apierr.Unauthenticated, "invalid_client", 401, false},
	codeAssertionAudience:  {apierr.Unauthenticated, "invalid_client", 401, false},
	codeTime:               {apierr.Unauthenticated, "invalid_client", 401, false},
	codeSignature:          {apierr.Unauthenticated, "invalid_client", 401, false},
	codeKey:                {apierr.Unauthenticated, "invalid_client", 401, false},
	codeFederatedIssuer:    {apierr.Unauthenticated, "invalid_client", 401, true},
	codeFederatedAudience:  {apierr.Unauthenticated, "invalid_client", 401, true},
	codeFederatedSubject:   {apierr.Unauthenticated, "invalid_client", 401, true},
	codeSubjectTemplated:   {apierr.Unauthenticated, "invalid_client", 401, true},
	codeSubjectCase:        {apierr.Unauthenticated, "invalid_client", 401, true},
	codeOwnToken:           {apierr.Unauthenticated, "invalid_request", 400, false},
	codeUnreachable:        {apierr.Invalid, "invalid_request", 400, false},
	codeClientProof:        {apierr.Unauthenticated, "invalid_client", 401, true},
	codeRedirect:           {apierr.Invalid, "invalid_request", 400, true},
	codeResponseType:       {apierr.Invalid, "unsupported_response_type", 400, false},
	codeResponseMode:       {apierr.Invalid, "invalid_request", 400, false},
	codeChallenge:          {apierr.Invalid, "invalid_request", 400, false},
	codeVerifier:           {apierr.Unauthenticated, "invalid_grant", 400, false},
	codeGrantUnknown:       {apierr.Unauthenticated, "invalid_grant", 400, false},
	codeGrantUsed:          {apierr.Unauthenticated, "invalid_grant", 400, false},
	codeGrantRevoked:       {apierr.Unauthenticated, "invalid_grant", 400, false},
	codeGrantExpired:       {apierr.Unauthenticated, "invalid_grant", 400, false},
	codeCodeExpired:        {apierr.Unauthenticated, "invalid_grant", 400, false},
	codePassword:           {apierr.Unauthenticated, "invalid_grant", 400, false},
	codePasswordExpired:    {apierr.Unauthenticated, "invalid_grant", 400, false},
	codeUserDisabled:       {apierr.Unauthenticated, "invalid_grant", 400, false},
	codeUserLocked:         {apierr.Unauthenticated, "invalid_grant", 400, false},
	codeInteraction:        {apierr.Unauthenticated, "interaction_required", 400, false},
	codeCancelled:          {apierr.Unauthenticated, "access_denied", 400, false},
	codeDevicePending:      {apierr.Unauthenticated, "authorization_pending", 400, false},
	codeDeviceDeclined:     {apierr.Unauthenticated, "authorization_declined", 400, false},
	codeDeviceExpired:      {apierr.Unauthenticated, "expired_token", 400, false},
	codeForgery:            {apierr.Invalid, "invalid_request", 400, false},
	codeThrottled:          {apierr.Throttled, "temporarily_unavailable", 429, false},
	codeUnavailable:        {apierr.Unavailable, "temporarily_unavailable", 503, false},
	codeInternal:           {apierr.Internal, "server_error", 500, false},
}

func (c code) String() string { return "AADSTS" + strconv.Itoa(int(c)) }

// refusal is the code of an error; it is in the chain of what refuse returns.
type refusal struct {
	code  code
	oauth string // in place of the catalogue's
}

func (e *refusal) Error() string { return e.code.String() }

// refuse makes an error with a code and a sentence for the caller.
func refuse(c code, format string, args ...any) error {
	return refuseWrap(&refusal{code: c}, format, args...)
}

func refuseWrap(e *refusal, format string, args ...any) error {
	return apierr.Wrap(e, catalogue[e.code].kind, format, args...)
}

// refusalOf is the code of an error of refuse's; ok is false for other errors.
func refusalOf(err error) (c code, ok bool) {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e.code, true
	}
	return 0, false
}

// errorBody is Entra's error envelope. trace_id is the request's id.
type errorBody struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []code `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
}

const timestampLayout = "2006-01-02 15:04:05Z"

// writeError is the surface's: it words every error as Entra does.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	c, m := wireError(err)
	h := w.Header()
	setNoStore(h)
	if after := retryAfter(err, m.status); after > 0 {
		h.Set("Retry-After", strconv.Itoa(after))
	}
	if isPage(r) {
		s.writeErrorPage(w, r, c, m, err)
		return
	}
	if m.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		h.Set("WWW-Authenticate", `Basic realm="`+s.tenantID+`"`)
	}
	httpx.SetCode(r, c.String())

	q := obs.RequestFrom(r.Context())
	now := s.now().UTC().Format(timestampLayout)
	body := errorBody{
		Error: m.oauth, Codes: []code{c}, Timestamp: now, TraceID: q.ID, CorrelationID: q.Correlation,
		Description: c.String() + ": " + sentence(apierr.Detail(err)) +
			" Trace ID: " + q.ID + " Correlation ID: " + q.Correlation + " Timestamp: " + now,
	}
	if err := httpx.WriteJSON(w, m.status, body); err != nil {
		s.log.DebugContext(r.Context(), "did not send an error answer", "error", err)
	}
}

// writeDiscoveryError is for Microsoft's login host when we answer only
// instance discovery there: what else is asked was meant for Microsoft.
func (s *Server) writeDiscoveryError(w http.ResponseWriter, r *http.Request, err error) {
	if k := apierr.KindOf(err); k == apierr.NotFound || k == apierr.MethodNotAllowed {
		err = apierr.Wrap(err, k, "This server answers only instance discovery on this host name. "+
			"Use the authority %s, or turn names mode on to serve this name in full.", s.names.Own().LoginURL())
	}
	s.writeError(w, r, err)
}

// wireError finds what an error looks like on the wire: its own code, or that of its kind.
func wireError(err error) (code, meaning) {
	if e, ok := errors.AsType[*refusal](err); ok {
		m := catalogue[e.code]
		if e.oauth != "" {
			m.oauth = e.oauth
		}
		return e.code, m
	}
	c, status := codeInternal, 0
	switch apierr.KindOf(err) {
	case apierr.Invalid, apierr.Forbidden, apierr.Conflict, apierr.PreconditionFailed, apierr.Unauthenticated:
		c = codeMalformed
	case apierr.NotFound:
		c, status = codeMalformed, http.StatusNotFound
	case apierr.TooLarge:
		c, status = codeMalformed, http.StatusRequestEntityTooLarge
	case apierr.Timeout:
		c, status = codeMalformed, http.StatusRequestTimeout
	case apierr.Unsupported:
		c, status = codeMalformed, http.StatusUnsupportedMediaType
	case apierr.MethodNotAllowed:
		c = codeMethod
	case apierr.Throttled:
		c = codeThrottled
	case apierr.Unavailable:
		c = codeUnavailable
	case apierr.Internal:
	}
	m := catalogue[c]
	if status != 0 {
		m.status = status
	}
	return c, m
}

// Clients without a Retry-After wait a minute and longer.
const (
	retryThrottled   = 5
	retryUnavailable = 2
)

// retryAfter is in seconds; 0 for answers that are final.
func retryAfter(err error, status int) int {
	if e, ok := errors.AsType[*apierr.Error](err); ok && e.RetryAfter > 0 {
		return int(math.Ceil(e.RetryAfter.Seconds()))
	}
	switch status {
	case http.StatusTooManyRequests:
		return retryThrottled
	case http.StatusServiceUnavailable:
		return retryUnavailable
	}
	return 0
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// maxShown is how many bytes of a presented or registered value an answer repeats.
const maxShown = 200

// quote makes a value fit to show to anyone: short, on one line.
func quote(s string) string { return "'" + apierr.Shown(s, maxShown) + "'" }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
