package sts

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/trust"
)

// request is one token request on its way: what was asked, what a View says of its
// client, and what the audit record will say of it.
type request struct {
	endpoint
	family    *names.Hosts
	tenant    tenantForm
	form      url.Values
	clientID  string
	grant     *grant
	scope     scope
	proof     *proof           // nil: the client does not prove itself
	assertion *trust.Assertion // of the proof, if it is one
	found
	record audit.Exchange
}

// endpoint is where a token request comes in.
type endpoint struct {
	v1      bool   // takes resource=
	cluster string // of an identity binding endpoint, as in its URL
}

// method is how the audit record calls what was presented.
func (q *request) method() string {
	switch {
	case q.grant != nil && q.grant.people:
		return q.grant.name
	case q.proof != nil:
		return q.proof.name
	}
	return ""
}

// resource is what the token's aud will be: without another, the directory.
func (q *request) resource() string {
	if q.scope.resource == "" {
		return q.family.GraphURL()
	}
	return q.scope.resource
}

const (
	assertionTypeJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	maxClientID      = 128
)

// parse reads the path and the form. It believes nothing of them.
func (s *Server) parse(r *http.Request, q *request) (err error) {
	// An identity binding endpoint may be asked without a tenant: there is one.
	if segment := r.PathValue("tenant"); segment != "" || q.cluster == "" {
		if q.tenant, err = s.tenant(segment); err != nil {
			return err
		}
	}
	return q.read(r)
}

// read reads the form in Entra's order: client, grant, resource, credential.
func (q *request) read(r *http.Request) (err error) {
	if q.cluster != "" {
		r = formOfQuery(r)
	}
	if q.form, err = readForm(r); err != nil {
		return err
	}
	q.record.Scope = apierr.Shown(firstWord(q.form.Get("scope")+q.form.Get("resource")), maxShown)
	basicID, basicSecret, err := basic(r)
	if err != nil {
		return err
	}
	if err := q.readClient(basicID); err != nil {
		return err
	}
	name := q.form.Get("grant_type")
	if name == "" {
		return missing("grant_type")
	}
	if q.grant = grantOf(name); q.grant == nil {
		return refuse(codeGrantType, "The app requested an unsupported grant type %s.", quote(firstWord(name)))
	}
	if q.clientID == "" {
		return missing("client_id")
	}
	if q.grant.scope != nil {
		if err := q.grant.scope(q); err != nil {
			return err
		}
	}
	return q.readProof(basicSecret)
}

func readForm(r *http.Request) (url.Values, error) {
	form, err := httpx.ReadForm(r)
	if apierr.KindOf(err) == apierr.Invalid {
		err = refuse(codeMalformed, "Invalid request. Request is malformed or invalid: %s.", apierr.Detail(err))
	}
	return form, err
}

func missing(parameter string) error {
	return refuse(codeParameter, "The request body must contain the following parameter: '%s'.", parameter)
}

func (q *request) readClient(basicID string) error {
	q.clientID = cmp.Or(q.form.Get("client_id"), basicID)
	q.record.ClientID = apierr.Shown(firstWord(q.clientID), maxClientID)
	if basicID != "" && !strings.EqualFold(q.clientID, basicID) {
		return refuse(codeMalformed, "The Authorization header and the body name different clients.")
	}
	return nil
}

// firstWord is the part of a parameter that is fit to be shown. A client may have
// separated its parameters by something else, and then the rest holds its secret.
func firstWord(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune("&;=", r) })
	if end < 0 {
		return s
	}
	return s[:end] + "…"
}

// readAssertion parses the assertion, if that was not done.
func (q *request) readAssertion() error {
	if q.assertion != nil {
		return nil
	}
	switch t := q.form.Get("client_assertion_type"); t {
	case assertionTypeJWT:
	case "":
		return missing("client_assertion_type")
	default:
		return refuse(codeMalformed, "The client_assertion_type %s is not %s.", quote(t), assertionTypeJWT)
	}
	parsed, err := trust.Parse(q.form.Get(parameterAssertion))
	if err != nil {
		return q.refuseAssertion(err)
	}
	q.assertion = parsed
	x := &q.record
	x.Issuer, x.Subject = apierr.Shown(parsed.Issuer, maxRecorded), apierr.Shown(parsed.Subject, maxRecorded)
	for _, aud := range parsed.Audiences[:min(len(parsed.Audiences), maxRecordedAudiences)] {
		x.Audiences = append(x.Audiences, apierr.Shown(aud, maxRecorded))
	}
	x.KeyID, x.Algorithm = apierr.Shown(parsed.KeyID, maxShown), parsed.Alg
	x.Expires, x.NotBefore = stamp(parsed.Expires), stamp(parsed.NotBefore)
	return nil
}

// Limits on what a record keeps of an assertion that nobody has verified.
const (
	maxRecorded          = 1024
	maxRecordedAudiences = 8
)

// basic reads the Authorization header, whose parts are form-encoded first:
// https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
func basic(r *http.Request) (id, secret string, err error) {
	if r.Header.Get("Authorization") == "" {
		return "", "", nil
	}
	user, password, ok := r.BasicAuth()
	if !ok || len(r.Header["Authorization"]) > 1 {
		return "", "", refuse(codeMalformed, "The Authorization header is not of the Basic scheme, or comes more than once.")
	}
	id, idErr := url.QueryUnescape(user)
	secret, secretErr := url.QueryUnescape(password)
	if idErr != nil || secretErr != nil {
		return "", "", refuse(codeMalformed, "The Authorization header has a broken percent escape.")
	}
	return id, secret, nil
}
