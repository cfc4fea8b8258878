package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/obs"
)

// code is a row of the catalogue. As an error it is the cause that fail wraps,
// so that writeError finds it again.
type code uint8

const (
	internal code = iota
	badParameter
	unauthorized
	accessDenied
	forbiddenByRbac
	forbiddenByFirewall
	forbiddenByConnection
	secretDisabled
	purgeProtected
	secretNotFound
	vaultNotFound
	contactsNotFound
	notFound
	notSupported
	methodNotAllowed
	conflict
	deletedButRecoverable
	beingRecovered
	preconditionFailed
	tooLarge
	throttled
	unavailable
	timeout
	unsupportedMedia
)

// catalogue is Key Vault's error codes.
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
var catalogue = [...]struct {
	kind   apierr.Kind
	status int
	code   string
	inner  string
}{
	internal:              {apierr.Internal, http.StatusInternalServerError, "InternalError", ""},
	badParameter:          {apierr.Invalid, http.StatusBadRequest, "BadParameter", ""},
	unauthorized:          {apierr.Unauthenticated, http.StatusUnauthorized, "Unauthorized", ""},
	accessDenied:          {apierr.Forbidden, http.StatusForbidden, "Forbidden", "AccessDenied"},
	forbiddenByRbac:       {apierr.Forbidden, http.StatusForbidden, "Forbidden", "ForbiddenByRbac"},
	forbiddenByFirewall:   {apierr.Forbidden, http.StatusForbidden, "Forbidden", "ForbiddenByFirewall"},
	forbiddenByConnection: {apierr.Forbidden, http.StatusForbidden, "Forbidden", "ForbiddenByConnection"},
	secretDisabled:        {apierr.Forbidden, http.StatusForbidden, "Forbidden", "SecretDisabled"},
	purgeProtected:        {apierr.Forbidden, http.StatusForbidden, "Forbidden", ""},
	secretNotFound:        {apierr.NotFound, http.StatusNotFound, "SecretNotFound", ""},
	vaultNotFound:         {apierr.NotFound, http.StatusNotFound, "VaultNotFound", ""},
	contactsNotFound:      {apierr.NotFound, http.StatusNotFound, "ContactsNotFound", ""},
	notFound:              {apierr.NotFound, http.StatusNotFound, "NotFound", ""},
	notSupported:          {apierr.NotFound, http.StatusNotImplemented, "NotSupported", ""},
	methodNotAllowed:      {apierr.MethodNotAllowed, http.StatusMethodNotAllowed, "MethodNotAllowed", ""},
	conflict:              {apierr.Conflict, http.StatusConflict, "Conflict", ""},
	deletedButRecoverable: {apierr.Conflict, http.StatusConflict, "Conflict", "ObjectIsDeletedButRecoverable"},
	beingRecovered:        {apierr.Conflict, http.StatusConflict, "Conflict", "ObjectIsBeingRecovered"},
	preconditionFailed:    {apierr.PreconditionFailed, http.StatusPreconditionFailed, "PreconditionFailed", ""},
	tooLarge:              {apierr.TooLarge, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", ""},
	throttled:             {apierr.Throttled, http.StatusTooManyRequests, "Throttled", ""},
	unavailable:           {apierr.Unavailable, http.StatusServiceUnavailable, "ServiceUnavailable", ""},
	timeout:               {apierr.Timeout, http.StatusRequestTimeout, "RequestTimeout", ""},
	unsupportedMedia:      {apierr.Unsupported, http.StatusUnsupportedMediaType, "UnsupportedMediaType", ""},
}

// Error is the most precise code, as it appears on the wire.
func (c code) Error() string {
	if inner := catalogue[c].inner; inner != "" {
		return inner
	}
	return catalogue[c].code
}

// fail is an error with a wire code and a sentence for the caller.
func fail(c code, format string, args ...any) error {
	return apierr.Wrap(c, catalogue[c].kind, format, args...)
}

// codeOf is the code that fail gave; for other packages' errors, the plain code of their kind.
func codeOf(err error) code {
	if c, ok := errors.AsType[code](err); ok {
		return c
	}
	switch apierr.KindOf(err) {
	case apierr.Invalid:
		return badParameter
	case apierr.Unauthenticated:
		return unauthorized
	case apierr.Forbidden:
		return accessDenied
	case apierr.NotFound:
		return notFound
	case apierr.MethodNotAllowed:
		return methodNotAllowed
	case apierr.Conflict:
		return conflict
	case apierr.PreconditionFailed:
		return preconditionFailed
	case apierr.TooLarge:
		return tooLarge
	case apierr.Throttled:
		return throttled
	case apierr.Unavailable:
		return unavailable
	case apierr.Timeout:
		return timeout
	case apierr.Unsupported:
		return unsupportedMedia
	case apierr.Internal:
	}
	return internal
}

type errorBody struct {
	Error struct {
		Code    string     `json:"code"`
		Message string     `json:"message"`
		Inner   *innerCode `json:"innererror,omitempty"`
	} `json:"error"`
}

type innerCode struct {
	Code string `json:"code"`
}

// writeError answers in Key Vault's format. A client without a good token gets
// the challenge, from which SDKs learn whom to ask for one.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	c := codeOf(err)
	row := catalogue[c]
	var body errorBody
	body.Error.Code, body.Error.Message = row.code, apierr.Detail(err)
	if row.inner != "" {
		body.Error.Inner = &innerCode{row.inner}
	}
	switch c {
	case unauthorized:
		w.Header().Set("WWW-Authenticate", s.bearerChallenge(r))
		body.Error.Message = tokenMessage(r, err)
	case throttled, unavailable:
		w.Header().Set("Retry-After", httpx.RetryAfter(err))
	default:
	}
	httpx.SetCode(r, c.Error())
	if err := httpx.WriteJSON(w, row.status, body); err != nil {
		s.log.DebugContext(r.Context(), "answer not written", "error", err)
	}
}

// bearerChallenge has exactly the form that every SDK can read: one scheme, two
// quoted parameters, no equals sign inside a value. The resource must be a
// parent domain of the vault's host, port included.
func (s *Server) bearerChallenge(r *http.Request) string {
	set, _ := httpx.Target(r)
	return `Bearer authorization="` + set.LoginURL() + "/" + s.challenge + `", resource="` + set.VaultResource() + `"`
}

func tokenMessage(r *http.Request, err error) string {
	t, ok := errors.AsType[*access.TokenError](err)
	if !ok {
		return "AKV10000: Request is missing a Bearer or PoP token."
	}
	switch t.Reason {
	case access.TokenMissing:
		return "AKV10000: Request is missing a Bearer or PoP token."
	case access.TokenAudience:
		set, _ := httpx.Target(r)
		return fmt.Sprintf("AKV10022: Invalid audience. Expected %s, found: %s.", set.VaultResource(), t.Presented)
	case access.TokenForeign:
		return fmt.Sprintf("AKV10032: Invalid issuer. Expected one of %s, found %s.", t.Expected, t.Presented)
	case access.TokenExpired:
		return "[TokenExpired] Error validating token: it expired at " + t.Presented + "."
	case access.TokenNotYet:
		return "[TokenNotYetValid] Error validating token: it is not valid before " + t.Presented + "."
	case access.TokenSignature:
		return "AKV10046: Unable to resolve the key used for signature validation."
	case access.TokenMalformed:
	}
	return "AKV10000: The Bearer token is not one that this server can read."
}

// missing says that there is no such live item, or no such version of it.
func (c *call) missing() error {
	return fail(c.kind.missing, "A %s with (name/id) %s was not found in this key vault. "+
		"If you recently deleted this %[1]s you may be able to recover it using the correct recovery command. "+
		"For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182", c.Kind.Noun(), c.id())
}

func (c *call) deletedMissing() error {
	return fail(c.kind.missing, "Deleted %s not found: %s", capital(c.Kind), c.Name)
}

// readable refuses what a disabled version would show.
func (c *call) readable(v *model.ItemVersion) error {
	if !v.Disabled || c.kind.disabled == 0 {
		return nil
	}
	return fail(c.kind.disabled, "Operation get is not allowed on a disabled %s.", c.Kind.Noun())
}

// nameTaken says why the name of a deleted item cannot be used.
func nameTaken(item *model.Item) error {
	what := capital(item.ItemKind)
	if unfinished(item) {
		return fail(beingRecovered, "%s %s is currently being restored, and its name cannot be reused until that has ended.", what, item.Name)
	}
	return fail(deletedButRecoverable, "%s %s is currently in a deleted but recoverable state, and its name cannot be reused; "+
		"in this state, the %s can only be recovered or purged.", what, item.Name, item.ItemKind.Noun())
}

// capital is a kind's noun at the beginning of a sentence.
func capital(kind model.ItemKind) string {
	noun := kind.Noun()
	return strings.ToUpper(noun[:1]) + noun[1:]
}

func noVault(name string) error {
	return fail(vaultNotFound, "There is no key vault named %q here, or it was deleted.", name)
}

// contacts says that nobody is told about a certificate: Terraform asks of every
// vault, and takes no other refusal for "none".
func contacts(http.ResponseWriter, *http.Request) error {
	return fail(contactsNotFound, "Contacts not found: this vault holds secrets only.")
}

func unsupported(http.ResponseWriter, *http.Request) error {
	return fail(notSupported, "This vault holds secrets only: keys, certificates and storage accounts are not supported by this server.")
}

// denied words the gate's refusal as Key Vault does; other errors pass.
func denied(ctx context.Context, err error, vault *model.Vault, a *access.VaultAction) error {
	d, ok := errors.AsType[*access.Denied](err)
	if !ok {
		return err
	}
	who := fmt.Sprintf("appid=%s;oid=%s;iss=%s", d.Caller.AppID, d.Caller.ObjectID, d.Caller.Issuer)
	where := vault.Name + ";location=" + vault.Location
	switch d.Network {
	case access.ByFirewall:
		return apierr.Wrap(errors.Join(forbiddenByFirewall, err), apierr.Forbidden,
			"Client address is not authorized and caller is not a trusted service.\r\nClient address: %s\r\nCaller: %s\r\nVault: %s\r\n",
			obs.RequestFrom(ctx).Remote, who, where)
	case access.ByConnection:
		return apierr.Wrap(errors.Join(forbiddenByConnection, err), apierr.Forbidden,
			"Public network access is disabled and request is not from a trusted service nor via an approved private link.\r\nCaller: %s\r\nVault: %s\r\n",
			who, where)
	case access.Admitted:
	}
	if d.Permission != "" {
		return apierr.Wrap(errors.Join(accessDenied, err), apierr.Forbidden,
			"The user, group or application '%s' does not have %s %s permission on key vault '%s'. "+
				"For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287", who, a.Kind, d.Permission, where)
	}
	return apierr.Wrap(errors.Join(forbiddenByRbac, err), apierr.Forbidden,
		"Caller is not authorized to perform action on resource.\r\nCaller: %s\r\nAction: '%s'\r\nResource: '%s'\r\n"+
			"Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null\r\nVault: %s\r\n",
		who, d.Action, vault.ID+"/"+a.Path, where)
}
