package sts

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/trust"
)

// method is how a client proves itself; the audit record's name for it.
type method string

const (
	methodSecret      method = "secret"
	methodCertificate method = "certificate"
	methodFederated   method = "federated"
	methodBinding     method = "binding" // federated, as the cluster says
)

// ask is a token request, read but not judged.
type ask struct {
	clientID  string
	method    method
	secret    string
	assertion *trust.Assertion
	text      string // of the assertion
	resource  string // what the token's aud will be
	v1        bool   // asked with resource=
	grant     grant
	form      url.Values // of a grant of users
	scope     userScope  // of a grant of users
}

// grant is a grant type; the empty one is client_credentials.
type grant string

// The grants of users.
const (
	grantPassword grant = "password"
	grantCode     grant = "authorization_code"
	grantDevice   grant = "urn:ietf:params:oauth:grant-type:device_code"
	grantRefresh  grant = "refresh_token"
)

const (
	grantClientCredentials = "client_credentials"
	assertionTypeJWT       = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	maxClientID            = 128
)

// read reads the form in Entra's order: grant, client, resource, credential.
func (a *attempt) read(r *http.Request, v1 bool) error {
	form, err := httpx.ReadForm(r)
	if apierr.KindOf(err) == apierr.Invalid {
		return refuse(codeMalformed, "Invalid request. Request is malformed or invalid: %s.", apierr.Detail(err))
	}
	if err != nil {
		return err
	}
	a.record.Scope = apierr.Shown(wordOf(form.Get("scope")+form.Get("resource")), maxShown)
	basicID, basicSecret, err := basic(r)
	if err != nil {
		return err
	}
	if err := a.readClient(form, basicID); err != nil {
		return err
	}
	switch text := form.Get("grant_type"); grant(text) {
	case grantClientCredentials:
	case grantPassword, grantCode, grantDevice, grantRefresh:
		a.grant, a.form = grant(text), form
	case "":
		return missing("grant_type")
	default:
		return refuse(codeGrantType, "The app requested an unsupported grant type %s.", quote(wordOf(text)))
	}
	if a.clientID == "" {
		return missing("client_id")
	}
	if a.grant != "" {
		return a.readUser(form, basicSecret)
	}
	if err := a.readResource(form, v1); err != nil {
		return err
	}
	return a.readCredential(form, basicSecret)
}

// readUser reads what all grants of users have: a scope, unless it was said
// before, and a credential of the client's, if it is one that keeps secrets.
func (a *attempt) readUser(form url.Values, basicSecret string) (err error) {
	a.record.Method = string(a.grant)
	if a.grant == grantPassword || a.grant == grantRefresh {
		if form.Get("scope") == "" {
			return missing("scope")
		}
		if a.scope, err = readUserScope(form.Get("scope")); err != nil {
			return err
		}
	}
	if form.Get("client_assertion") == "" && form.Get("client_secret")+basicSecret == "" {
		return nil
	}
	if err := a.readCredential(form, basicSecret); err != nil {
		return err
	}
	a.record.Method = string(a.grant)
	return nil
}

func missing(parameter string) error {
	return refuse(codeParameter, "The request body must contain the following parameter: '%s'.", parameter)
}

func (a *attempt) readClient(form url.Values, basicID string) error {
	a.clientID = form.Get("client_id")
	if a.clientID == "" {
		a.clientID = basicID
	}
	a.record.ClientID = apierr.Shown(wordOf(a.clientID), maxClientID)
	if basicID != "" && !strings.EqualFold(a.clientID, basicID) {
		return refuse(codeMalformed, "The Authorization header and the body name different clients.")
	}
	return nil
}

// wordOf is the part of a parameter that is fit to be shown. What follows may be
// the secret, of a client that separates its parameters by something else.
func wordOf(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune("&;=", r) })
	if end < 0 {
		return s
	}
	return s[:end] + "…"
}

// readResource reads scope=, or in v1 also resource=, which is the audience as it is.
func (a *attempt) readResource(form url.Values, v1 bool) (err error) {
	resource, scope := form.Get("resource"), form.Get("scope")
	switch {
	case v1 && resource != "":
		if len(resource) > maxScope || !scopeToken(resource) {
			return refuse(codeScope, "The provided value for the input parameter 'resource' is not valid: %s.", quote(wordOf(resource)))
		}
		a.resource, a.v1 = resource, true
		return nil
	case scope != "":
		a.resource, err = resourceOf(scope)
		return err
	case v1:
		return missing("resource")
	}
	return missing("scope")
}

func (a *attempt) readCredential(form url.Values, basicSecret string) error {
	assertion, secret := form.Get("client_assertion"), form.Get("client_secret")
	if assertion != "" && secret+basicSecret != "" || secret != "" && basicSecret != "" {
		return refuse(codeMalformed, "The request has more than one client credential.")
	}
	a.secret = secret + basicSecret
	if a.secret != "" {
		a.method = methodSecret
		a.record.Method = string(methodSecret)
		return nil
	}
	if assertion == "" {
		return refuse(codeNoCredential, "'client_assertion' or 'client_secret' is required for the 'client_credentials' grant type.")
	}
	switch t := form.Get("client_assertion_type"); t {
	case assertionTypeJWT:
	case "":
		return missing("client_assertion_type")
	default:
		return refuse(codeMalformed, "The client_assertion_type %s is not %s.", quote(t), assertionTypeJWT)
	}
	return a.readAssertion(assertion)
}

// readAssertion parses the assertion. One that its own client issued is signed
// by a certificate; any other is federated.
func (a *attempt) readAssertion(text string) error {
	a.method = methodFederated
	parsed, err := trust.Parse(text)
	if err != nil {
		a.record.Method = string(a.method)
		return a.untrusted(err, federationCodes)
	}
	a.assertion, a.text = parsed, strings.TrimSpace(text)
	if strings.EqualFold(parsed.Issuer, a.clientID) {
		a.method = methodCertificate
	}
	x := &a.record
	x.Method = string(a.method)
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
