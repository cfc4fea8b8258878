package graph

import (
	"errors"
	"net/http"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/obs"
)

// code is an error code of Graph. As an error it is the cause that fail wraps,
// so that writeError finds it again.
type code string

// https://learn.microsoft.com/graph/errors
const (
	badRequest       code = "Request_BadRequest"
	delegatedOnly    code = "BadRequest"
	duplicate        code = "Request_MultipleObjectsWithSameKeyValue"
	concurrency      code = "Directory_ConcurrencyViolation"
	invalidToken     code = "InvalidAuthenticationToken"
	internal         code = "UnknownError"
	methodNotAllowed code = "Request_MethodNotAllowed"
	quota            code = "Directory_QuotaExceeded"
	resourceNotFound code = "Request_ResourceNotFound"
	throttled        code = "TooManyRequests"
	tooLarge         code = "RequestBodyTooLarge"
	requestDenied    code = "Authorization_RequestDenied"
	timeout          code = "RequestTimeout"
	unavailable      code = "ServiceUnavailable"
	unsupportedQuery code = "Request_UnsupportedQuery"
	unsupportedMedia code = "UnsupportedMediaType"
)

func (c code) Error() string { return string(c) }

// kinds says what each code that handlers use is about; its status follows.
var kinds = map[code]apierr.Kind{
	badRequest:       apierr.Invalid,
	delegatedOnly:    apierr.Invalid,
	duplicate:        apierr.Conflict,
	concurrency:      apierr.Conflict,
	methodNotAllowed: apierr.MethodNotAllowed,
	quota:            apierr.Forbidden,
	resourceNotFound: apierr.NotFound,
	unsupportedQuery: apierr.Invalid,
}

// answers says how a kind is answered: its status, and the code of an error
// that brings none of its own.
var answers = map[apierr.Kind]struct {
	status int
	code   code
}{
	apierr.Internal:           {http.StatusInternalServerError, internal},
	apierr.Invalid:            {http.StatusBadRequest, badRequest},
	apierr.Unauthenticated:    {http.StatusUnauthorized, invalidToken},
	apierr.Forbidden:          {http.StatusForbidden, requestDenied},
	apierr.NotFound:           {http.StatusNotFound, resourceNotFound},
	apierr.MethodNotAllowed:   {http.StatusMethodNotAllowed, methodNotAllowed},
	apierr.Conflict:           {http.StatusConflict, concurrency},
	apierr.PreconditionFailed: {http.StatusPreconditionFailed, concurrency},
	apierr.TooLarge:           {http.StatusRequestEntityTooLarge, tooLarge},
	apierr.Throttled:          {http.StatusTooManyRequests, throttled},
	apierr.Unavailable:        {http.StatusServiceUnavailable, unavailable},
	apierr.Timeout:            {http.StatusRequestTimeout, timeout},
	apierr.Unsupported:        {http.StatusUnsupportedMediaType, unsupportedMedia},
}

// fail is an error with a wire code and a sentence for the caller.
func fail(c code, format string, args ...any) error {
	return apierr.Wrap(c, kinds[c], format, args...)
}

// notFoundError has the words by which az knows that something is missing.
func notFoundError(id string) error {
	return fail(resourceNotFound, "Resource '%.200s' does not exist or one of its queried reference-property objects are not present.", id)
}

type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    code       `json:"code"`
	Message string     `json:"message"`
	Inner   innerError `json:"innerError"`
}

type innerError struct {
	Date            string `json:"date"`
	RequestID       string `json:"request-id"`
	ClientRequestID string `json:"client-request-id"`
}

func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	kind := apierr.KindOf(err)
	answer, known := answers[kind]
	if !known {
		answer = answers[apierr.Internal]
	}
	c, message := answer.code, apierr.Detail(err)
	if own, ok := errors.AsType[code](err); ok {
		c = own
	}
	switch kind {
	case apierr.Unauthenticated:
		set, _ := httpx.Target(r)
		w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+set.LoginURL()+"/"+s.c.TenantID+`/oauth2/v2.0/authorize"`)
		message = tokenMessage(err)
	case apierr.Forbidden:
		if d, ok := errors.AsType[*access.Denied](err); ok {
			message = "Insufficient privileges to complete the operation. It needs a role with the action '" + d.Action + "' " + where(d.Action) + "."
		}
	case apierr.Throttled, apierr.Unavailable:
		w.Header().Set("Retry-After", httpx.RetryAfter(err))
	}
	httpx.SetCode(r, string(c))
	q := obs.RequestFrom(r.Context())
	body := errorBody{errorDetail{c, message, innerError{
		Date: s.c.Now().UTC().Format("2006-01-02T15:04:05"), RequestID: q.ID, ClientRequestID: q.Correlation,
	}}}
	// The answer is lost only with the connection, which the edge notes.
	_ = httpx.WriteJSON(w, answer.status, body)
}

// where says at which scope the gate is asked about an action.
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
