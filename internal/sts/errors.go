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

// code is a row of the catalogue. As an error it is the cause that refuse wraps, so that
// writeError finds it again.
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
type code struct {
	number int // of AADSTS
	kind   apierr.Kind
	oauth  string // https://www.rfc-editor.org/rfc/rfc6749#section-5.2
	status int
	// recheck: another replica may have written meanwhile what was not found, so this
	// refusal is checked against the store before it is given.
	recheck bool
}

// The catalogue. Federation mismatches are 401: MSAL for Python replays a 400 from its
// cache for a minute.
var (
	codeTenantUnknown      = &code{90002, apierr.Invalid, "invalid_request", 400, false}
	codeTenantDocument     = &code{90002, apierr.Invalid, "invalid_tenant", 400, false} // the same, in the discovery document
	codeTenantMalformed    = &code{900023, apierr.Invalid, "invalid_request", 400, false}
	codeTenantMissing      = &code{50059, apierr.Invalid, "invalid_request", 400, false} // a client alone does not tell the tenant
	codeInstance           = &code{50049, apierr.Invalid, "invalid_instance", 400, false}
	codeMalformed          = &code{9002313, apierr.Invalid, "invalid_request", 400, false}
	codeMethod             = &code{900561, apierr.MethodNotAllowed, "invalid_request", 405, false}
	codeParameter          = &code{900144, apierr.Invalid, "invalid_request", 400, false}
	codeGrantType          = &code{70003, apierr.Invalid, "unsupported_grant_type", 400, false}
	codeScope              = &code{70011, apierr.Invalid, "invalid_scope", 400, false}
	codeScopeDefault       = &code{1002012, apierr.Invalid, "invalid_scope", 400, false}
	codeScopeResources     = &code{28000, apierr.Invalid, "invalid_request", 400, false} // a user's; a client alone gets codeScope
	codeResource           = &code{500011, apierr.Invalid, "invalid_resource", 400, false}
	codeClient             = &code{700016, apierr.Unauthenticated, "unauthorized_client", 400, true}
	codeClientDisabled     = &code{7000112, apierr.Unauthenticated, "unauthorized_client", 400, true}
	codeNoCredential       = &code{7000216, apierr.Unauthenticated, "invalid_client", 401, false}
	codeSecret             = &code{7000215, apierr.Unauthenticated, "invalid_client", 401, true}
	codeSecretExpired      = &code{7000222, apierr.Unauthenticated, "invalid_client", 401, false}
	codeAssertionMalformed = &code{50027, apierr.Unauthenticated, "invalid_request", 400, false}
	codeAlgorithm          = &code{5002730, apierr.Unauthenticated, "invalid_request", 400, false} // not accepted, or not for the key that is named
	codeAssertionClient    = &code{700021, apierr.Unauthenticated, "invalid_client", 401, false}
	codeAssertionAudience  = &code{700023, apierr.Unauthenticated, "invalid_client", 401, false}
	codeTime               = &code{700024, apierr.Unauthenticated, "invalid_client", 401, false}
	codeSignature          = &code{700027, apierr.Unauthenticated, "invalid_client", 401, false}
	codeKey                = &code{7000272, apierr.Unauthenticated, "invalid_client", 401, false}
	codeKeyUnused          = &code{7000272, apierr.Unauthenticated, "invalid_client", 401, false} // the same, for a key that is published
	codeFederatedIssuer    = &code{700211, apierr.Unauthenticated, "invalid_client", 401, true}
	codeFederatedAudience  = &code{700212, apierr.Unauthenticated, "invalid_client", 401, true}
	codeFederatedSubject   = &code{700213, apierr.Unauthenticated, "invalid_client", 401, true}
	codeSubjectTemplated   = &code{7002137, apierr.Unauthenticated, "invalid_client", 401, true}
	codeSubjectCase        = &code{7002138, apierr.Unauthenticated, "invalid_client", 401, true}
	codeOwnToken           = &code{700222, apierr.Unauthenticated, "invalid_request", 400, false} // an assertion that we issued ourselves
	codeUnreachable        = &code{50166, apierr.Invalid, "invalid_request", 400, false}
	codeClientProof        = &code{7000218, apierr.Unauthenticated, "invalid_client", 401, true}
	codeRedirect           = &code{50011, apierr.Invalid, "invalid_request", 400, true}
	codeResponseType       = &code{700054, apierr.Invalid, "unsupported_response_type", 400, false}
	codeResponseMode       = &code{9002322, apierr.Invalid, "invalid_request", 400, false}
	codeChallenge          = &code{9002325, apierr.Invalid, "invalid_request", 400, false}      // there must be one
	codeVerifier           = &code{501481, apierr.Unauthenticated, "invalid_grant", 400, false} // it does not match the challenge
	codeGrantUnknown       = &code{70000, apierr.Unauthenticated, "invalid_grant", 400, false}  // or another client's
	codeGrantUsed          = &code{54005, apierr.Unauthenticated, "invalid_grant", 400, false}
	codeGrantRevoked       = &code{50173, apierr.Unauthenticated, "invalid_grant", 400, false}
	codeGrantExpired       = &code{700082, apierr.Unauthenticated, "invalid_grant", 400, false}
	codeCodeExpired        = &code{70008, apierr.Unauthenticated, "invalid_grant", 400, false}
	codePassword           = &code{50126, apierr.Unauthenticated, "invalid_grant", 400, false}
	codePasswordExpired    = &code{50055, apierr.Unauthenticated, "invalid_grant", 400, false}
	codeUserDisabled       = &code{50057, apierr.Unauthenticated, "invalid_grant", 400, false}
	codeUserLocked         = &code{50053, apierr.Unauthenticated, "invalid_grant", 400, false}
	codeInteraction        = &code{50058, apierr.Unauthenticated, "interaction_required", 400, false}
	codeCancelled          = &code{65004, apierr.Unauthenticated, "access_denied", 400, false}
	codeDevicePending      = &code{70016, apierr.Unauthenticated, "authorization_pending", 400, false}
	codeDeviceEarly        = &code{70016, apierr.Unauthenticated, "slow_down", 400, false} // the same, before the interval has passed
	codeDeviceDeclined     = &code{70018, apierr.Unauthenticated, "authorization_declined", 400, false}
	codeDeviceExpired      = &code{70020, apierr.Unauthenticated, "expired_token", 400, false}
	codeForgery            = &code{165000, apierr.Invalid, "invalid_request", 400, false} // the form is not of our page
	codeThrottled          = &code{90025, apierr.Throttled, "temporarily_unavailable", 429, false}
	codeUnavailable        = &code{90033, apierr.Unavailable, "temporarily_unavailable", 503, false}
	codeInternal           = &code{50000, apierr.Internal, "server_error", 500, false}
)

// Error is the code as clients know it.
func (c *code) Error() string     { return "AADSTS" + strconv.Itoa(c.number) }
func (c *code) Kind() apierr.Kind { return c.kind }

// refuse makes an error with a code and a sentence for the caller.
func refuse(c *code, format string, args ...any) error { return apierr.Fail(c, format, args...) }

// words are what users know some codes by. A sentence of our own may follow.
var words = map[*code]string{
	codeAssertionMalformed: "JWT token is invalid or malformed.",
	codeAlgorithm:          "Invalid JWT token. Unsupported key for the signing algorithm.",
	codeAssertionClient:    "Client assertion application identifier doesn't match 'client_id' parameter.",
	codeAssertionAudience:  "Client assertion audience claim does not match Realm issuer.",
	codeTime:               "Client assertion is not within its valid time range.",
	codeSignature:          "Client assertion failed signature validation.",
	codeKeyUnused:          "The certificate used to sign the federated credential cannot be used.",
	codeUnreachable:        "Request to External OIDC endpoint failed.",
	codePassword:           "Error validating credentials due to invalid username or password, or to an account that is locked for a while after too many attempts.",
	codePasswordExpired:    "The password is expired: it must be changed first. Sign in on the server's page.",
	codeUserDisabled:       "The user account is disabled.",
	codeUserLocked:         "The account is locked for a while after too many failed sign-ins.",
	codeGrantRevoked:       "The provided grant has expired due to it being revoked, a fresh auth token is needed.",
	codeGrantUnknown:       "The provided refresh token is malformed, was revoked, or belongs to another client.",
	codeGrantExpired:       "The refresh token has expired due to inactivity.",
}

// explain makes an error of another package's: its code, the code's words, and then
// that package's own sentence, if there is one.
func explain(c *code, cause error, detail string) error {
	return apierr.Wrap(errors.Join(c, cause), c.kind, "%s", strings.TrimSpace(words[c]+" "+detail))
}

// codeOf is the code of an error that refuse made; nil for others.
func codeOf(err error) *code { return apierr.CodeOf[*code](err, nil) }

// errorBody is Entra's error envelope. trace_id is the request's id.
type errorBody struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
}

const timestampLayout = "2006-01-02 15:04:05Z"

// writeError is the surface's: it words every error as Entra does.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	c := apierr.CodeOf(err, plain)
	h := w.Header()
	setNoStore(h)
	if after := retryAfter(err, c.status); after > 0 {
		h.Set("Retry-After", strconv.Itoa(after))
	}
	if isPage(r) {
		s.writeErrorPage(w, r, c, err)
		return
	}
	if c.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		h.Set("WWW-Authenticate", `Basic realm="`+s.tenantID+`"`)
	}
	httpx.SetCode(r, c.Error())

	q := obs.RequestFrom(r.Context())
	now := s.now().UTC().Format(timestampLayout)
	body := errorBody{
		Error: c.oauth, Codes: []int{c.number}, Timestamp: now, TraceID: q.ID, CorrelationID: q.Correlation,
		Description: c.Error() + ": " + sentence(apierr.Detail(err)) +
			" Trace ID: " + q.ID + " Correlation ID: " + q.Correlation + " Timestamp: " + now,
	}
	if err := httpx.WriteJSON(w, c.status, body); err != nil {
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

// plain has the codes of errors that bring none of their own.
var plain = map[apierr.Kind]*code{
	apierr.Invalid:            codeMalformed,
	apierr.Unauthenticated:    codeMalformed,
	apierr.Forbidden:          codeMalformed,
	apierr.Conflict:           codeMalformed,
	apierr.PreconditionFailed: codeMalformed,
	apierr.NotFound:           {9002313, apierr.NotFound, "invalid_request", 404, false},
	apierr.TooLarge:           {9002313, apierr.TooLarge, "invalid_request", 413, false},
	apierr.Timeout:            {9002313, apierr.Timeout, "invalid_request", 408, false},
	apierr.Unsupported:        {9002313, apierr.Unsupported, "invalid_request", 415, false},
	apierr.MethodNotAllowed:   codeMethod,
	apierr.Throttled:          codeThrottled,
	apierr.Unavailable:        codeUnavailable,
	apierr.Internal:           codeInternal,
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
