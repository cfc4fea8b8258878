package graph

import (
	"errors"
	"net/http"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/obs"
)

// code is an error code of Graph.
// https://learn.microsoft.com/graph/errors
type code struct {
	name string
	kind apierr.Kind
}

func (c *code) Error() string     { return c.name }
func (c *code) Kind() apierr.Kind { return c.kind }

var (
	badRequest       = &code{"Request_BadRequest", apierr.Invalid}
	delegatedOnly    = &code{"BadRequest", apierr.Invalid}
	duplicate        = &code{"Request_MultipleObjectsWithSameKeyValue", apierr.Conflict}
	concurrency      = &code{"Directory_ConcurrencyViolation", apierr.Conflict}
	invalidToken     = &code{"InvalidAuthenticationToken", apierr.Unauthenticated}
	internal         = &code{"UnknownError", apierr.Internal}
	methodNotAllowed = &code{"Request_MethodNotAllowed", apierr.MethodNotAllowed}
	quota            = &code{"Directory_QuotaExceeded", apierr.Forbidden}
	resourceNotFound = &code{"Request_ResourceNotFound", apierr.NotFound}
	throttled        = &code{"TooManyRequests", apierr.Throttled}
	tooLarge         = &code{"RequestBodyTooLarge", apierr.TooLarge}
	requestDenied    = &code{"Authorization_RequestDenied", apierr.Forbidden}
	timeout          = &code{"RequestTimeout", apierr.Timeout}
	unavailable      = &code{"ServiceUnavailable", apierr.Unavailable}
	unsupportedQuery = &code{"Request_UnsupportedQuery", apierr.Invalid}
	unsupportedMedia = &code{"UnsupportedMediaType", apierr.Unsupported}
)

// plain has the codes of errors that bring none of their own.
var plain = map[apierr.Kind]*code{
	apierr.Internal:           internal,
	apierr.Invalid:            badRequest,
	apierr.Unauthenticated:    invalidToken,
	apierr.Forbidden:          requestDenied,
	apierr.NotFound:           resourceNotFound,
	apierr.MethodNotAllowed:   methodNotAllowed,
	apierr.Conflict:           concurrency,
	apierr.PreconditionFailed: concurrency,
	apierr.TooLarge:           tooLarge,
	apierr.Throttled:          throttled,
	apierr.Unavailable:        unavailable,
	apierr.Timeout:            timeout,
	apierr.Unsupported:        unsupportedMedia,
}

// fail is an error with a wire code and a sentence for the caller.
func fail(c *code, format string, args ...any) error { return apierr.Fail(c, format, args...) }

// notFoundError has the words by which az knows that something is missing.
func notFoundError(id string) error {
	return fail(resourceNotFound, "Resource '%.200s' does not exist or one of its queried reference-property objects are not present.", id)
}

type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    string     `json:"code"`
	Message string     `json:"message"`
	Inner   innerError `json:"innerError"`
}

type innerError struct {
	Date            string `json:"date"`
	RequestID       string `json:"request-id"`
	ClientRequestID string `json:"client-request-id"`
}

func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	c, message := apierr.CodeOf(err, plain), apierr.Detail(err)
	switch apierr.KindOf(err) {
	case apierr.Unauthenticated:
		family, _ := httpx.Target(r)
		w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+family.LoginURL()+"/"+s.tenantID+`/oauth2/v2.0/authorize"`)
		message = tokenMessage(err)
	case apierr.Forbidden:
		if d, ok := errors.AsType[*access.Denied](err); ok {
			message = "Insufficient privileges to complete the operation. It needs a role with the action '" + d.Action + "' " + where(d.Action) + "."
		}
	case apierr.Throttled, apierr.Unavailable:
		w.Header().Set("Retry-After", httpx.RetryAfter(err))
	}
	httpx.SetCode(r, c.name)
	q := obs.RequestFrom(r.Context())
	body := errorBody{errorDetail{c.name, message, innerError{
		Date: s.now().UTC().Format("2006-01-02T15:04:05"), RequestID: q.ID, ClientRequestID: q.Correlation,
	}}}
	// The answer is lost only with the connection, which the edge notes.
	_ = httpx.WriteJSON(w, httpx.Status(apierr.KindOf(err)), body)
}

// where names the scope at which an action is needed.
func where(action string) string {
	if action == actionReadPrincipals {
		return "at any scope"
	}
	return "at the root, '/'"
}

func tokenMessage(err error) string {
	t, ok := errors.AsType[*access.TokenError](err)
	if !ok {
		return "Access token validation failure."
	}
	switch t.Reason {
	case access.TokenMissing:
		return "Access token is empty."
	case access.TokenExpired:
		return "Lifetime validation failed, the token is expired."
	case access.TokenNotYet:
		return "Lifetime validation failed, the token is not valid yet."
	case access.TokenAudience:
		return "Access token validation failure. Invalid audience."
	case access.TokenForeign:
		return "Access token validation failure. Invalid issuer."
	case access.TokenSignature:
		return "Access token validation failure. Signature is invalid."
	case access.TokenMalformed:
	}
	return "Access token validation failure."
}
