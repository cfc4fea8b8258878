package sts

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
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

func (s *Server) tokenV2(w http.ResponseWriter, r *http.Request) error {
	return s.token(w, r, endpoint{})
}

func (s *Server) tokenV1(w http.ResponseWriter, r *http.Request) error {
	return s.token(w, r, endpoint{v1: true})
}

func (s *Server) bindingToken(w http.ResponseWriter, r *http.Request) error {
	return s.token(w, r, endpoint{cluster: r.PathValue("cluster")})
}

// token answers a token request: it decides, records the decision, and only then signs.
func (s *Server) token(w http.ResponseWriter, r *http.Request, at endpoint) error {
	q := &request{endpoint: at}
	q.family, _ = httpx.Target(r)
	who, err := s.decide(r, q)
	claims, err := s.record(r, q, who, err)
	if err != nil {
		return err
	}
	token, err := s.sign(claims)
	if err != nil {
		return err
	}
	setNoStore(w.Header())
	return who.answer(w, claims, token)
}

// decide finds out for whom a token may be issued. The order is that of
// docs/DESIGN.md.
func (s *Server) decide(r *http.Request, q *request) (subject, error) {
	ctx := r.Context()
	if err := s.parse(r, q); err != nil {
		return nil, err
	}
	if err := s.tenantNamed(q); err != nil {
		return nil, err
	}
	if err := s.findClient(ctx, q); err != nil {
		return nil, err
	}
	if err := s.prove(ctx, q); err != nil {
		return nil, err
	}
	who, err := s.findGrant(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := s.allowed(q.view, q.resource()); err != nil {
		return nil, err
	}
	return who, who.redeem(ctx)
}

// findGrant looks up what the grant stands for. The View must be fresh: another replica's
// page may have stored it just now, and the proof may have taken seconds.
func (s *Server) findGrant(ctx context.Context, q *request) (subject, error) {
	if q.grant.people && q.proof != nil {
		if q.client.app == nil {
			return nil, errIdentity(q.clientID)
		}
		var err error
		if q.view, err = s.store.Fresh(ctx); err != nil {
			return nil, err
		}
	}
	return q.grant.find(s, ctx, q)
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

// auditAction is the action of a token request's record.
const auditAction = "token.issue"

// record writes the audit record of a decision, and gives the claims of the token
// that was granted. An error that is not a refusal is no decision, and is the log's.
func (s *Server) record(r *http.Request, q *request, who subject, decision error) (*access.Claims, error) {
	q.record.Method = q.method()
	record := &audit.Record{Action: auditAction, Resource: q.record.ClientID, Exchange: &q.record}
	if decision != nil {
		c := codeOf(decision)
		if c == nil {
			return nil, decision
		}
		note, _ := signInNote(decision)
		record.Code, record.Reason = c.Error(), cmp.Or(note, apierr.Detail(decision))
		if err := s.writeRecord(r.Context(), record); err != nil {
			return nil, err
		}
		return nil, s.countRefusal(r.Context(), decision)
	}
	claims := s.claims(q, who)
	q.record.TokenID = claims.TokenID
	record.Granted, record.Caller, record.Reason = true, callerOf(claims), who.reason()
	if err := s.writeRecord(r.Context(), record); err != nil {
		return nil, err
	}
	httpx.SetCaller(r, *record.Caller)
	return claims, nil
}

// writeRecord writes a record. Without it there is no answer.
func (s *Server) writeRecord(ctx context.Context, record *audit.Record) error {
	if err := s.gate.Exchange(ctx, record); err != nil {
		return apierr.Wrap(err, apierr.Unavailable, "The audit record could not be written. Try again.")
	}
	return nil
}

func callerOf(c *access.Claims) *model.Caller {
	return &model.Caller{
		ObjectID: c.ObjectID, AppID: c.AppID, TenantID: c.TenantID, Issuer: c.Issuer,
		Type: c.Type, IdentityID: c.IdentityID, Name: c.UPN, TokenID: c.TokenID,
	}
}

// backdate is how far iat and nbf lie in the past, for resources whose clock is behind.
const backdate = 5 * time.Minute

// claims are what the token will say.
func (s *Server) claims(q *request, who subject) *access.Claims {
	from := s.now().Add(-backdate).Unix()
	iss := access.TokenIssuer(q.family, s.tenantID)
	var id [16]byte
	rand.Read(id[:])
	c := &access.Claims{
		Audience: q.resource(), Issuer: iss, IDP: iss, IssuedAt: from, NotBefore: from,
		AppID: q.client.appID, AppIDACR: "0", TenantID: s.tenantID,
		TokenID: base64.RawURLEncoding.EncodeToString(id[:]), Version: "1.0",
	}
	if q.proof != nil {
		c.AppIDACR = q.proof.acr
	}
	who.claims(c)
	return c
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
