package sts

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// found is what one View says of a client and of what proves it.
type found struct {
	view   *store.View
	client client
	// verify does what takes time; nil: the proof is done.
	verify  func(context.Context) error
	grounds grounds
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

// maxProofs is how often a proof is verified, because its grounds were changed meanwhile.
const maxProofs = 3

// prove verifies the client's proof. Fetching keys may take seconds: a credential that was
// deleted in that time must not bring a token.
func (s *Server) prove(ctx context.Context, q *request) error {
	for range maxProofs {
		if q.verify == nil {
			return nil
		}
		if err := q.verify(ctx); err != nil {
			return err
		}
		view, err := s.store.View()
		if err != nil || view.Rev() == q.view.Rev() {
			return err
		}
		before := q.grounds
		if err := s.findIn(view, q); err != nil || q.grounds == before {
			return err
		}
	}
	return apierr.New(apierr.Unavailable, "The client's credentials are being changed. Try again.")
}

// findClient looks up the client and what is registered for its proof. Another replica may
// have written what this one's View does not show, so the store is asked before a refusal.
func (s *Server) findClient(ctx context.Context, q *request) error {
	if q.proof == nil {
		return s.findPublic(ctx, q)
	}
	view, err := s.store.View()
	if err != nil {
		return err
	}
	refused := s.findIn(view, q)
	if c := codeOf(refused); c == nil || !c.recheck || s.store.Sole() {
		return refused
	}
	fresh, err := s.rechecks.wait(ctx)
	if err != nil {
		return err
	}
	if fresh.Rev() == view.Rev() {
		return refused
	}
	return s.findIn(fresh, q)
}

func (s *Server) findIn(view *store.View, q *request) (err error) {
	q.found = found{view: view}
	q.record.Registered, q.record.Differed, q.record.Hint = nil, nil, ""
	if q.client, err = s.client(view, q.clientID); err == nil {
		return q.proof.find(s, q)
	}
	if q.proof.unknown != nil {
		q.proof.unknown(q)
	}
	return err
}

// client finds who has a client id.
func (s *Server) client(view *store.View, clientID string) (client, error) {
	e := view.First(model.ClientIndex(clientID))
	if e == nil {
		return client{}, refuse(codeClient, "Application with identifier %s was not found in the directory '%s'. No application or managed identity has this client id.", quote(firstWord(clientID)), s.tenantID)
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
