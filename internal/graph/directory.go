package graph

import (
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// me is about a person. A client that signs in as an application takes this
// refusal for a sign to ask for its service principal.
func (c *call) me() error {
	if c.caller.Type != "user" {
		return fail(delegatedOnly, "/me request is only valid with delegated authentication flow.")
	}
	u, _, err := c.userByKey(c.caller.ObjectID)
	if err != nil {
		return err
	}
	return c.replyUser(http.StatusOK, u)
}

// owned lists the objects that a person owns. There are none: only roles give rights.
func (c *call) owned() error {
	if c.caller.Type != "user" {
		return c.me()
	}
	return c.reply(http.StatusOK, listBody{Context: c.context("directoryObjects"), Value: []any{}})
}

// listNobody lists groups, of which there are none.
func (c *call) listNobody() error {
	text := field{text: func(model.Object) string { return "" }}
	return c.list(collection{
		name: c.path.shape,
		fields: fields{
			"id": text, "displayname": text, "userprincipalname": text, "mail": text, "mailnickname": text, "securityenabled": text,
		},
		entries: func(string) iter.Seq[*store.Entry] { return func(func(*store.Entry) bool) {} },
	})
}

// applicationOwners and principalOwners are always empty: only roles give rights.
func (c *call) applicationOwners() error {
	if _, _, err := c.application(); err != nil {
		return err
	}
	return c.reply(http.StatusOK, listBody{Context: c.context("directoryObjects"), Value: []any{}})
}

func (c *call) principalOwners() error {
	if _, err := c.findPrincipal(); err != nil {
		return err
	}
	return c.reply(http.StatusOK, listBody{Context: c.context("directoryObjects"), Value: []any{}})
}

func (c *call) missing() error { return notFoundError(c.path.keys[0].value) }

// maxIDs is Graph's own limit.
// https://learn.microsoft.com/graph/api/directoryobject-getbyids
const maxIDs = 1000

// byIDs finds objects of several types by their ids. Missing ones are left out.
func (c *call) byIDs() error {
	var in struct {
		IDs   []string `json:"ids"`
		Types []string `json:"types"`
	}
	if err := c.read(&in, false); err != nil {
		return err
	}
	if len(in.IDs) == 0 || len(in.IDs) > maxIDs {
		return fail(badRequest, "The property 'ids' must have 1 to %d ids.", maxIDs)
	}
	wanted := func(kind string) bool {
		return len(in.Types) == 0 || slices.ContainsFunc(in.Types, func(t string) bool {
			return strings.EqualFold(t, kind) || strings.EqualFold(t, "directoryObject")
		})
	}
	body, seen := listBody{Context: c.context("directoryObjects"), Value: []any{}}, map[string]bool{}
	for _, id := range in.IDs {
		if !model.ValidUUID(id) {
			return fail(badRequest, "Invalid GUID: %.100q", id)
		}
		id = strings.ToLower(id)
		e := c.view.First(model.PrincipalIndex(id))
		if e == nil || seen[id] {
			continue
		}
		seen[id] = true
		if u, ok := e.Value.(*model.User); ok && wanted("user") {
			shown := showUser(u)
			shown.Type = "#microsoft.graph.user"
			body.Value = append(body.Value, shown)
		} else if p := c.showPrincipal(e.Value); p != nil && wanted("servicePrincipal") {
			p.Type = "#microsoft.graph.servicePrincipal"
			body.Value = append(body.Value, p)
		}
	}
	return c.reply(http.StatusOK, body)
}
