package sts

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/signing"
	"github.com/lanyard-io/lanyard/internal/store"
)

// auditAction is the action of a token request's record.
const auditAction = "token.issue"

// attempt is one token request on its way: what was asked, what was found, and
// what the audit record will say of it.
type attempt struct {
	ask
	set    *names.Set
	view   *store.View // in which client and credential were found
	client client
	person *person // who signed in, in a grant of users
	// verify checks the assertion that the credential found is for; nil for a secret.
	verify  func(ctx context.Context) error
	grounds grounds
	record  audit.Exchange
	// cluster is the one whose identity binding endpoint is asked, as in its URL.
	cluster string
}

// grounds are the stored objects, immutable ones, that verify rests on.
type grounds [4]model.Object

// client is the Identity or Application that asks for a token.
type client struct {
	object      model.Object
	key         string // of its object
	appID       string
	principalID string
	identityID  string             // ARM id; empty for an application
	app         *model.Application // nil for an identity
	lifetime    time.Duration
}

func (s *Server) tokenV2(w http.ResponseWriter, r *http.Request) error { return s.token(w, r, false) }
func (s *Server) tokenV1(w http.ResponseWriter, r *http.Request) error { return s.token(w, r, true) }

// token decides, records the decision, and only then signs.
func (s *Server) token(w http.ResponseWriter, r *http.Request, v1 bool) error {
	a := &attempt{}
	a.set, _ = httpx.Target(r)
	return s.conclude(w, r, a, s.admit(r, a, v1))
}

// conclude records the decision on an attempt, err, and answers.
func (s *Server) conclude(w http.ResponseWriter, r *http.Request, a *attempt, err error) error {
	var claims access.Claims
	if err == nil {
		claims = s.claims(a)
		a.record.TokenID = claims.TokenID
	}
	caller := model.Caller{
		ObjectID: claims.ObjectID, AppID: claims.AppID, TenantID: claims.TenantID, Issuer: claims.Issuer,
		Type: claims.Type, IdentityID: claims.IdentityID, Name: claims.UPN, TokenID: claims.TokenID,
	}
	if recordErr := s.keep(r.Context(), a, &caller, err); recordErr != nil {
		return recordErr
	}
	if err != nil {
		return s.countRefusal(r.Context(), err)
	}

	token, err := s.sign(&claims)
	if err != nil {
		return err
	}
	httpx.SetCaller(r, caller)
	return s.answer(w, a, &claims, token)
}

// admit finds out whether the client may have what it asks for.
func (s *Server) admit(r *http.Request, a *attempt, v1 bool) error {
	form, err := s.tenant(r.PathValue("tenant"))
	if err != nil {
		return err
	}
	if err := a.read(r, v1); err != nil {
		return err
	}
	if a.grant != "" {
		return s.admitUser(r, a)
	}
	if form == tenantCommon || form == tenantOrganizations {
		return refuse(codeTenantMissing, "No tenant-identifying information found in either the request or implied by any provided credentials. Name the tenant, %s, in place of %s.", s.tenantID, quote(s.segment(form)))
	}

	if err := s.prove(r.Context(), a); err != nil {
		return err
	}
	return s.allowed(a.view, a.resource)
}

// maxProofs is how often a client is proven anew because what the proof rests on
// was changed meanwhile.
const maxProofs = 3

// prove finds the client's credential and verifies what it is for. Keys may be
// seconds on their way: what was deleted in that time must not bring a token.
func (s *Server) prove(ctx context.Context, a *attempt) error {
	if err := s.find(ctx, a); err != nil {
		return err
	}
	for range maxProofs {
		if a.verify == nil {
			return nil
		}
		if err := a.verify(ctx); err != nil {
			return err
		}
		view, err := s.store.View()
		if err != nil || view.Rev() == a.view.Rev() {
			return err
		}
		before := a.grounds
		if err := s.findIn(view, a); err != nil || a.grounds == before {
			return err
		}
	}
	return apierr.New(apierr.Unavailable, "The client's credentials are being changed. Try again.")
}

// find looks up the client and its credential. What this replica's View does
// not show, another one may have written: a refusal for that is never given
// without a look at the store.
func (s *Server) find(ctx context.Context, a *attempt) error {
	view, err := s.store.View()
	if err != nil {
		return err
	}
	refused := s.findIn(view, a)
	if c, ok := refusalOf(refused); !ok || !catalogue[c].late || s.store.Sole() {
		return refused
	}
	fresh, err := s.checks.wait(ctx)
	if err != nil {
		return err
	}
	if fresh.Rev() == view.Rev() {
		return refused
	}
	return s.findIn(fresh, a)
}

func (s *Server) findIn(view *store.View, a *attempt) (err error) {
	a.view, a.verify, a.grounds = view, nil, grounds{}
	a.record.Registered, a.record.Differed, a.record.Hint = nil, nil, ""
	if a.client, err = s.client(view, a.clientID); err != nil {
		if a.method == methodSecret {
			matchSecret(nil, a.secret) // an unknown client takes as long as a known one
		}
		return err
	}
	switch a.method {
	case methodSecret:
		return s.bySecret(a)
	case methodCertificate:
		return s.byCertificate(a)
	case methodFederated:
		return s.byFederation(a)
	case methodBinding:
		return s.byBinding(a)
	}
	return fmt.Errorf("no way to prove a client by %q", a.method)
}

// client finds who has a client id.
func (s *Server) client(view *store.View, clientID string) (client, error) {
	e := view.First(model.ClientIndex(clientID))
	if e == nil {
		return client{}, refuse(codeClient, "Application with identifier %s was not found in the directory '%s'. No application or managed identity has this client id.", quote(wordOf(clientID)), s.tenantID)
	}
	switch o := e.Value.(type) {
	case *model.Identity:
		return client{
			object: o, key: e.Key, appID: o.ClientID, principalID: o.PrincipalID,
			identityID: lowerGroup(o.ID), lifetime: s.identityLifetime,
		}, nil
	case *model.Application:
		if o.Disabled {
			return client{}, refuse(codeClientDisabled, "Application %s is disabled.", quote(clientID))
		}
		return client{object: o, key: e.Key, appID: o.AppID, principalID: o.PrincipalID, app: o, lifetime: s.appLifetime}, nil
	}
	return client{}, fmt.Errorf("client %s is a %s", e.Key, e.Value.Kind())
}

// lowerGroup spells an ARM id's resourceGroups segment in lower case, as
// xms_mirid has it.
func lowerGroup(id string) string {
	const lower = "/resourcegroups/"
	for i := 0; i+len(lower) <= len(id); i++ {
		if id[i] == '/' && strings.EqualFold(id[i:i+len(lower)], lower) {
			return id[:i] + lower + id[i+len(lower):]
		}
	}
	return id
}

// allowed says whether tokens for a resource may be asked for.
func (s *Server) allowed(view *store.View, resource string) error {
	trimmed := strings.TrimSuffix(resource, "/")
	if s.names.Audience(resource) != names.None || s.audiences[trimmed] || s.names.Announced(resource) {
		return nil
	}
	if e := view.First(model.ClientIndex(strings.TrimPrefix(trimmed, "api://"))); e != nil {
		if _, ok := e.Value.(*model.Application); ok {
			return nil
		}
	}
	return refuse(codeResource, "The resource principal named %s was not found in the tenant '%s'. Register it as an audience, or ask for one of this server's own resources.", quote(resource), s.tenantID)
}

// backdate is how far iat and nbf lie in the past, for resources whose clock is behind.
const backdate = 5 * time.Minute

func (s *Server) claims(a *attempt) access.Claims {
	now := s.now()
	iss := access.TokenIssuer(a.set, s.tenantID)
	acr := "2"
	if a.method == methodSecret {
		acr = "1"
	}
	var id [16]byte
	rand.Read(id[:])
	if a.person != nil {
		return s.userClaims(a, iss, base64.RawURLEncoding.EncodeToString(id[:]))
	}
	return access.Claims{
		Audience: a.resource, Issuer: iss, IDP: iss,
		IssuedAt: now.Add(-backdate).Unix(), NotBefore: now.Add(-backdate).Unix(), Expires: now.Add(a.client.lifetime).Unix(),
		AppID: a.client.appID, AppIDACR: acr, Type: "app",
		ObjectID: a.client.principalID, Subject: a.client.principalID, TenantID: s.tenantID,
		TokenID: base64.RawURLEncoding.EncodeToString(id[:]), Version: "1.0", IdentityID: a.client.identityID,
	}
}

func (s *Server) sign(c *access.Claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	alg := signing.RS256
	if !s.rs256 && s.names.Audience(c.Audience) != names.None {
		alg = signing.ES256
	}
	token, err := s.keys.Sign(alg, payload)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}

// keep writes the audit record of a decision. An error that is not a refusal is
// no decision, and is the log's.
func (s *Server) keep(ctx context.Context, a *attempt, caller *model.Caller, decision error) error {
	record := &audit.Record{Action: auditAction, Resource: a.record.ClientID, Exchange: &a.record}
	if decision == nil {
		record.Granted, record.Caller = true, caller
		record.Reason = "The " + string(a.method) + " proves the client."
		if a.method == methodBinding {
			record.Reason = "The cluster vouches for the service account, and lets it use the identity."
		}
		if a.person != nil {
			record.Reason = a.person.reason
		}
	} else {
		c, ok := refusalOf(decision)
		if !ok {
			return nil
		}
		record.Code, record.Reason = c.String(), apierr.Detail(decision)
		if a.person != nil && a.person.reason != "" {
			record.Reason = a.person.reason
		}
	}
	if err := s.gate.Exchange(ctx, record); err != nil {
		return apierr.Wrap(err, apierr.Unavailable, "The audit record could not be written. Try again.")
	}
	return nil
}

// tokenBody is the v2 answer: lifetimes are numbers.
type tokenBody struct {
	Type       string `json:"token_type"`
	Expires    int64  `json:"expires_in"`
	ExtExpires int64  `json:"ext_expires_in"`
	Refresh    int64  `json:"refresh_in,omitempty"`
	Token      string `json:"access_token"`
}

// tokenBodyV1 is the answer to a request with resource=: lifetimes are strings.
type tokenBodyV1 struct {
	Type       string `json:"token_type"`
	Expires    string `json:"expires_in"`
	ExtExpires string `json:"ext_expires_in"`
	ExpiresOn  string `json:"expires_on"`
	NotBefore  string `json:"not_before"`
	Resource   string `json:"resource"`
	Token      string `json:"access_token"`
}

// refreshFrom is the lifetime from which clients are told to refresh early.
const refreshFrom = 2 * time.Hour

func (s *Server) answer(w http.ResponseWriter, a *attempt, c *access.Claims, token string) error {
	setNoStore(w.Header())
	if a.person != nil {
		return s.answerUser(w, a, c, token)
	}
	seconds := int64(a.client.lifetime/time.Second) - 1 // as Entra: 3599
	if a.v1 {
		in := strconv.FormatInt(seconds, 10)
		return httpx.WriteJSON(w, http.StatusOK, tokenBodyV1{
			Type: "Bearer", Expires: in, ExtExpires: in, ExpiresOn: strconv.FormatInt(c.Expires, 10),
			NotBefore: strconv.FormatInt(c.NotBefore, 10), Resource: a.resource, Token: token,
		})
	}
	body := tokenBody{Type: "Bearer", Expires: seconds, ExtExpires: seconds, Token: token}
	if a.client.lifetime >= refreshFrom {
		body.Refresh = int64(a.client.lifetime/time.Second) / 2
	}
	return httpx.WriteJSON(w, http.StatusOK, body)
}
