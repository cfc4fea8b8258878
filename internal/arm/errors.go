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
type code string

const (
	accountNameInvalid      code = "AccountNameInvalid"
	authenticationFailed    code = "AuthenticationFailed"
	authorizationFailed     code = "AuthorizationFailed"
	badRequest              code = "BadRequest"
	conflict                code = "Conflict"
	deletedVaultNotFound    code = "DeletedVaultNotFound"
	expiredToken            code = "ExpiredAuthenticationToken"
	insufficientPermissions code = "InsufficientPermissions"
	internalServerError     code = "InternalServerError"
	invalidAPIVersion       code = "InvalidApiVersionParameter"
	invalidFilter           code = "InvalidFilterInQueryString"
	invalidGroup            code = "InvalidResourceGroup"
	invalidGroupLocation    code = "InvalidResourceGroupLocation"
	invalidLocation         code = "InvalidResourceLocation"
	invalidNamespace        code = "InvalidResourceNamespace"
	invalidQuery            code = "InvalidQueryParameterValue"
	invalidRequestContent   code = "InvalidRequestContent"
	invalidRequestURI       code = "InvalidRequestUri"
	invalidResourceName     code = "InvalidResourceName"
	invalidResourceType     code = "InvalidResourceType"
	invalidSubscriptionID   code = "InvalidSubscriptionId"
	invalidTag              code = "InvalidTagNameOrValue"
	invalidToken            code = "InvalidAuthenticationToken"
	invalidTokenAudience    code = "InvalidAuthenticationTokenAudience"
	invalidTokenTenant      code = "InvalidAuthenticationTokenTenant"
	locationRequired        code = "LocationRequired"
	methodNotAllowed        code = "MethodNotAllowed"
	missingAPIVersion       code = "MissingApiVersionParameter"
	noRegisteredProvider    code = "NoRegisteredProviderFound"
	notFound                code = "NotFound"
	parentNotFound          code = "ParentResourceNotFound"
	preconditionFailed      code = "PreconditionFailed"
	principalNotFound       code = "PrincipalNotFound"
	requestTimeout          code = "RequestTimeout"
	requestTooLarge         code = "RequestContentTooLarge"
	resourceGroupNotFound   code = "ResourceGroupNotFound"
	resourceNotFound        code = "ResourceNotFound"
	roleAssignmentExists    code = "RoleAssignmentExists"
	roleAssignmentFixed     code = "RoleAssignmentUpdateNotPermitted"
	roleAssignmentNotFound  code = "RoleAssignmentNotFound"
	roleDefinitionNotFound  code = "RoleDefinitionDoesNotExist"
	serviceUnavailable      code = "ServiceUnavailable"
	subscriptionNotFound    code = "SubscriptionNotFound"
	tooManyRequests         code = "TooManyRequests"
	tooManyTags             code = "TooManyTags"
	unmatchedPrincipalType  code = "UnmatchedPrincipalType"
	unsupportedMediaType    code = "UnsupportedMediaType"
	vaultExists             code = "VaultAlreadyExists"
	vaultNameInvalid        code = "VaultNameNotValid"
)

// kinds says what each code that handlers use is about; its status follows.
var kinds = map[code]apierr.Kind{
	badRequest:              apierr.Invalid,
	conflict:                apierr.Conflict,
	deletedVaultNotFound:    apierr.NotFound,
	insufficientPermissions: apierr.Forbidden,
	invalidAPIVersion:       apierr.Invalid,
	invalidFilter:           apierr.Invalid,
	invalidGroup:            apierr.Invalid,
	invalidGroupLocation:    apierr.Conflict,
	invalidLocation:         apierr.Conflict,
	invalidNamespace:        apierr.NotFound,
	invalidQuery:            apierr.Invalid,
	invalidRequestContent:   apierr.Invalid,
	invalidRequestURI:       apierr.Invalid,
	invalidResourceName:     apierr.Invalid,
	invalidResourceType:     apierr.NotFound,
	invalidSubscriptionID:   apierr.Invalid,
	invalidTag:              apierr.Invalid,
	locationRequired:        apierr.Invalid,
	methodNotAllowed:        apierr.MethodNotAllowed,
	missingAPIVersion:       apierr.Invalid,
	noRegisteredProvider:    apierr.Invalid,
	notFound:                apierr.NotFound,
	parentNotFound:          apierr.NotFound,
	preconditionFailed:      apierr.PreconditionFailed,
	principalNotFound:       apierr.Invalid,
	resourceGroupNotFound:   apierr.NotFound,
	resourceNotFound:        apierr.NotFound,
	roleAssignmentExists:    apierr.Conflict,
	roleAssignmentFixed:     apierr.Conflict,
	roleAssignmentNotFound:  apierr.NotFound,
	roleDefinitionNotFound:  apierr.Invalid,
	subscriptionNotFound:    apierr.NotFound,
	tooManyTags:             apierr.Invalid,
	unmatchedPrincipalType:  apierr.Invalid,
	vaultExists:             apierr.Conflict,
	vaultNameInvalid:        apierr.Invalid,
}

// answers says how a kind is answered: its status, and the code of an error
// that brings none of its own.
var answers = map[apierr.Kind]struct {
	status int
	code   code
}{
	apierr.Internal:           {http.StatusInternalServerError, internalServerError},
	apierr.Invalid:            {http.StatusBadRequest, invalidRequestContent},
	apierr.Unauthenticated:    {http.StatusUnauthorized, invalidToken},
	apierr.Forbidden:          {http.StatusForbidden, authorizationFailed},
	apierr.NotFound:           {http.StatusNotFound, notFound},
	apierr.MethodNotAllowed:   {http.StatusMethodNotAllowed, methodNotAllowed},
	apierr.Conflict:           {http.StatusConflict, conflict},
	apierr.PreconditionFailed: {http.StatusPreconditionFailed, preconditionFailed},
	apierr.TooLarge:           {http.StatusRequestEntityTooLarge, requestTooLarge},
	apierr.Throttled:          {http.StatusTooManyRequests, tooManyRequests},
	apierr.Unavailable:        {http.StatusServiceUnavailable, serviceUnavailable},
	apierr.Timeout:            {http.StatusRequestTimeout, requestTimeout},
	apierr.Unsupported:        {http.StatusUnsupportedMediaType, unsupportedMediaType},
}

// wireError gives an error a code of its own.
type wireError struct{ code code }

func (e *wireError) Error() string { return string(e.code) }

// fail makes an error with one of the codes above and a sentence for the caller.
func fail(c code, format string, args ...any) error {
	return apierr.Wrap(&wireError{c}, kinds[c], format, args...)
}

func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	kind := apierr.KindOf(err)
	answer, known := answers[kind]
	if !known {
		answer = answers[apierr.Internal]
	}
	c, message := answer.code, apierr.Detail(err)
	if e, ok := errors.AsType[*wireError](err); ok {
		c = e.code
	}
	switch kind {
	case apierr.Unauthenticated:
		c, message = tokenFailure(err)
		set, _ := httpx.Target(r)
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(
			`Bearer authorization_uri="%s/%s", error="invalid_token", error_description="%s"`, set.LoginURL(), s.c.TenantID, message))
	case apierr.Forbidden:
		if d, ok := errors.AsType[*access.Denied](err); ok {
			message = denial(d)
		}
	case apierr.NotFound, apierr.PreconditionFailed:
		w.Header().Set("x-ms-failure-cause", "gateway")
	case apierr.Throttled, apierr.Unavailable:
		w.Header().Set("Retry-After", httpx.RetryAfter(err))
	}
	httpx.SetCode(r, string(c))
	if r.Method == http.MethodHead {
		w.WriteHeader(answer.status)
		return
	}
	// The answer is lost only with the connection, which the edge notes.
	_ = httpx.WriteJSON(w, answer.status, errorBody{errorDetail{Code: c, Message: message}})
}

type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    code   `json:"code"`
	Message string `json:"message"`
}

func denial(d *access.Denied) string {
	return fmt.Sprintf("The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' "+
		"or the scope is invalid. If access was recently granted, please refresh your credentials.",
		d.Caller.AppID, d.Caller.ObjectID, d.Action, d.Scope)
}

// tokenFailure words a refused token. The message goes into a quoted header
// value as well, so what the token said stays out unless it is harmless there.
func tokenFailure(err error) (code, string) {
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
