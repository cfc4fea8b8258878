package vault

import (
	"cmp"
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

// code is a row of Key Vault's catalogue of errors.
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
type code struct {
	name   string
	inner  string // says more, in innererror
	kind   apierr.Kind
	status int // 0: that of the kind
}

// Error is the most precise code, as it appears on the wire.
func (c *code) Error() string     { return cmp.Or(c.inner, c.name) }
func (c *code) Kind() apierr.Kind { return c.kind }

var (
	internal              = &code{name: "InternalError", kind: apierr.Internal}
	badParameter          = &code{name: "BadParameter", kind: apierr.Invalid}
	unauthorized          = &code{name: "Unauthorized", kind: apierr.Unauthenticated}
	accessDenied          = &code{name: "Forbidden", inner: "AccessDenied", kind: apierr.Forbidden}
	forbiddenByRbac       = &code{name: "Forbidden", inner: "ForbiddenByRbac", kind: apierr.Forbidden}
	forbiddenByFirewall   = &code{name: "Forbidden", inner: "ForbiddenByFirewall", kind: apierr.Forbidden}
	forbiddenByConnection = &code{name: "Forbidden", inner: "ForbiddenByConnection", kind: apierr.Forbidden}
	secretDisabled        = &code{name: "Forbidden", inner: "SecretDisabled", kind: apierr.Forbidden}
	purgeProtected        = &code{name: "Forbidden", kind: apierr.Forbidden}
	secretNotFound        = &code{name: "SecretNotFound", kind: apierr.NotFound}
	vaultNotFound         = &code{name: "VaultNotFound", kind: apierr.NotFound}
	contactsNotFound      = &code{name: "ContactsNotFound", kind: apierr.NotFound}
	notFound              = &code{name: "NotFound", kind: apierr.NotFound}
	notSupported          = &code{name: "NotSupported", kind: apierr.NotFound, status: http.StatusNotImplemented}
	methodNotAllowed      = &code{name: "MethodNotAllowed", kind: apierr.MethodNotAllowed}
	conflict              = &code{name: "Conflict", kind: apierr.Conflict}
	deletedButRecoverable = &code{name: "Conflict", inner: "ObjectIsDeletedButRecoverable", kind: apierr.Conflict}
	beingRecovered        = &code{name: "Conflict", inner: "ObjectIsBeingRecovered", kind: apierr.Conflict}
	preconditionFailed    = &code{name: "PreconditionFailed", kind: apierr.PreconditionFailed}
	tooLarge              = &code{name: "RequestEntityTooLarge", kind: apierr.TooLarge}
	throttled             = &code{name: "Throttled", kind: apierr.Throttled}
	unavailable           = &code{name: "ServiceUnavailable", kind: apierr.Unavailable}
	timeout               = &code{name: "RequestTimeout", kind: apierr.Timeout}
	unsupportedMedia      = &code{name: "UnsupportedMediaType", kind: apierr.Unsupported}
)

// plain has the codes of errors that bring none of their own.
var plain = map[apierr.Kind]*code{
	apierr.Invalid:            badParameter,
	apierr.Unauthenticated:    unauthorized,
	apierr.Forbidden:          accessDenied,
	apierr.NotFound:           notFound,
	apierr.MethodNotAllowed:   methodNotAllowed,
	apierr.Conflict:           conflict,
	apierr.PreconditionFailed: preconditionFailed,
	apierr.TooLarge:           tooLarge,
	apierr.Throttled:          throttled,
	apierr.Unavailable:        unavailable,
	apierr.Timeout:            timeout,
	apierr.Unsupported:        unsupportedMedia,
	apierr.Internal:           internal,
}

// fail is an error with a wire code and a sentence for the caller.
func fail(c *code, format string, args ...any) error { return apierr.Fail(c, format, args...) }

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
	c := apierr.CodeOf(err, plain)
	var body errorBody
	body.Error.Code, body.Error.Message = c.name, apierr.Detail(err)
	if c.inner != "" {
		body.Error.Inner = &innerCode{c.inner}
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
	if err := httpx.WriteJSON(w, cmp.Or(c.status, httpx.Status(c.kind)), body); err != nil {
		s.log.DebugContext(r.Context(), "answer not written", "error", err)
	}
}

// bearerChallenge has exactly the form that every SDK can read: one scheme, two
// quoted parameters, no equals sign inside a value. The resource must be a
// parent domain of the vault's host, port included.
func (s *Server) bearerChallenge(r *http.Request) string {
	family, _ := httpx.Target(r)
	return `Bearer authorization="` + family.LoginURL() + "/" + s.challenge + `", resource="` + family.VaultResource() + `"`
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
		family, _ := httpx.Target(r)
		return fmt.Sprintf("AKV10022: Invalid audience. Expected %s, found: %s.", family.VaultResource(), t.Presented)
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
	if !v.Disabled || c.kind.disabled == nil {
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
