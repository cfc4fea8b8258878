package arm

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
)

// code is an error code of Resource Manager or of one of its providers.
// https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
type code struct {
	name string
	kind apierr.Kind
}

func (c *code) Error() string     { return c.name }
func (c *code) Kind() apierr.Kind { return c.kind }

var (
	accountNameInvalid      = &code{"AccountNameInvalid", apierr.Invalid}
	authenticationFailed    = &code{"AuthenticationFailed", apierr.Unauthenticated}
	authorizationFailed     = &code{"AuthorizationFailed", apierr.Forbidden}
	badRequest              = &code{"BadRequest", apierr.Invalid}
	conflict                = &code{"Conflict", apierr.Conflict}
	deletedVaultNotFound    = &code{"DeletedVaultNotFound", apierr.NotFound}
	expiredToken            = &code{"ExpiredAuthenticationToken", apierr.Unauthenticated}
	insufficientPermissions = &code{"InsufficientPermissions", apierr.Forbidden}
	internalServerError     = &code{"InternalServerError", apierr.Internal}
	invalidAPIVersion       = &code{"InvalidApiVersionParameter", apierr.Invalid}
	invalidFilter           = &code{"InvalidFilterInQueryString", apierr.Invalid}
	invalidGroup            = &code{"InvalidResourceGroup", apierr.Invalid}
	invalidGroupLocation    = &code{"InvalidResourceGroupLocation", apierr.Conflict}
	invalidLocation         = &code{"InvalidResourceLocation", apierr.Conflict}
	invalidNamespace        = &code{"InvalidResourceNamespace", apierr.NotFound}
	invalidQuery            = &code{"InvalidQueryParameterValue", apierr.Invalid}
	invalidRequestContent   = &code{"InvalidRequestContent", apierr.Invalid}
	invalidRequestURI       = &code{"InvalidRequestUri", apierr.Invalid}
	invalidResourceName     = &code{"InvalidResourceName", apierr.Invalid}
	invalidResourceType     = &code{"InvalidResourceType", apierr.NotFound}
	invalidSubscriptionID   = &code{"InvalidSubscriptionId", apierr.Invalid}
	invalidTag              = &code{"InvalidTagNameOrValue", apierr.Invalid}
	invalidToken            = &code{"InvalidAuthenticationToken", apierr.Unauthenticated}
	invalidTokenAudience    = &code{"InvalidAuthenticationTokenAudience", apierr.Unauthenticated}
	invalidTokenTenant      = &code{"InvalidAuthenticationTokenTenant", apierr.Unauthenticated}
	locationRequired        = &code{"LocationRequired", apierr.Invalid}
	methodNotAllowed        = &code{"MethodNotAllowed", apierr.MethodNotAllowed}
	missingAPIVersion       = &code{"MissingApiVersionParameter", apierr.Invalid}
	noRegisteredProvider    = &code{"NoRegisteredProviderFound", apierr.Invalid}
	notFound                = &code{"NotFound", apierr.NotFound}
	parentNotFound          = &code{"ParentResourceNotFound", apierr.NotFound}
	preconditionFailed      = &code{"PreconditionFailed", apierr.PreconditionFailed}
	principalNotFound       = &code{"PrincipalNotFound", apierr.Invalid}
	requestTimeout          = &code{"RequestTimeout", apierr.Timeout}
	requestTooLarge         = &code{"RequestContentTooLarge", apierr.TooLarge}
	resourceGroupNotFound   = &code{"ResourceGroupNotFound", apierr.NotFound}
	resourceNotFound        = &code{"ResourceNotFound", apierr.NotFound}
	roleAssignmentExists    = &code{"RoleAssignmentExists", apierr.Conflict}
	roleAssignmentFixed     = &code{"RoleAssignmentUpdateNotPermitted", apierr.Conflict}
	roleAssignmentNotFound  = &code{"RoleAssignmentNotFound", apierr.NotFound}
	roleDefinitionNotFound  = &code{"RoleDefinitionDoesNotExist", apierr.Invalid}
	serviceUnavailable      = &code{"ServiceUnavailable", apierr.Unavailable}
	subscriptionNotFound    = &code{"SubscriptionNotFound", apierr.NotFound}
	tooManyRequests         = &code{"TooManyRequests", apierr.Throttled}
	tooManyTags             = &code{"TooManyTags", apierr.Invalid}
	unmatchedPrincipalType  = &code{"UnmatchedPrincipalType", apierr.Invalid}
	unsupportedMediaType    = &code{"UnsupportedMediaType", apierr.Unsupported}
	vaultExists             = &code{"VaultAlreadyExists", apierr.Conflict}
	vaultNameInvalid        = &code{"VaultNameNotValid", apierr.Invalid}
)

// plain has the codes of errors that bring none of their own.
var plain = map[apierr.Kind]*code{
	apierr.Internal:           internalServerError,
	apierr.Invalid:            invalidRequestContent,
	apierr.Unauthenticated:    invalidToken,
	apierr.Forbidden:          authorizationFailed,
	apierr.NotFound:           notFound,
	apierr.MethodNotAllowed:   methodNotAllowed,
	apierr.Conflict:           conflict,
	apierr.PreconditionFailed: preconditionFailed,
	apierr.TooLarge:           requestTooLarge,
	apierr.Throttled:          tooManyRequests,
	apierr.Unavailable:        serviceUnavailable,
	apierr.Timeout:            requestTimeout,
	apierr.Unsupported:        unsupportedMediaType,
}

// fail makes an error with one of the codes above and a sentence for the caller.
func fail(c *code, format string, args ...any) error { return apierr.Fail(c, format, args...) }

func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	kind := apierr.KindOf(err) // not always the code's: a read and a write use one code for 404 and 400
	c, message, status := apierr.CodeOf(err, plain), apierr.Detail(err), httpx.Status(kind)
	switch kind {
	case apierr.Unauthenticated:
		c, message = tokenFailure(err)
		family, _ := httpx.Target(r)
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(
			`Bearer authorization_uri="%s/%s", error="invalid_token", error_description="%s"`, family.LoginURL(), s.tenantID, message))
	case apierr.Forbidden:
		if d, ok := errors.AsType[*access.Denied](err); ok {
			message = denial(d)
		}
	case apierr.NotFound, apierr.PreconditionFailed:
		w.Header().Set("x-ms-failure-cause", "gateway")
	case apierr.Throttled, apierr.Unavailable:
		w.Header().Set("Retry-After", httpx.RetryAfter(err))
	}
	httpx.SetCode(r, c.name)
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	// The answer is lost only with the connection, which the edge notes.
	_ = httpx.WriteJSON(w, status, errorBody{errorDetail{Code: c.name, Message: message}})
}

type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func denial(d *access.Denied) string {
	return fmt.Sprintf("The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' "+
		"or the scope is invalid. If access was recently granted, please refresh your credentials.",
		d.Caller.AppID, d.Caller.ObjectID, d.Action, d.Scope)
}

// tokenFailure words a refused token. The message goes into a quoted header value as
// well, so the token's own words are made harmless first.
func tokenFailure(err error) (*code, string) {
	e, ok := errors.AsType[*access.TokenError](err)
	if !ok {
		return invalidToken, "The access token is invalid."
	}
	switch e.Reason {
	case access.TokenMissing:
		return authenticationFailed, "Authentication failed. The 'Authorization' header is missing."
	case access.TokenExpired:
		return expiredToken, "The access token expiry UTC time '" + headerSafe(e.Presented) + "' is earlier than current UTC time."
	case access.TokenAudience:
		return invalidTokenAudience, "The access token has been obtained for wrong audience or resource '" + headerSafe(e.Presented) +
			"'. It should match the audience of this Resource Manager."
	case access.TokenForeign:
		return invalidTokenTenant, "The access token is from the wrong issuer '" + headerSafe(e.Presented) + "'. It must match '" +
			headerSafe(e.Expected) + "', the tenant associated with this subscription."
	case access.TokenNotYet:
		return invalidToken, "The access token is not valid yet: it begins at '" + headerSafe(e.Presented) + "'."
	case access.TokenSignature:
		return invalidToken, "The access token is invalid: its signature is by none of this server's keys."
	default:
		return invalidToken, "The access token is invalid."
	}
}

func headerSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s[:min(len(s), 200)])
}
