package graph

import (
	"iter"
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// me is about a person. A client that signs in as an application takes this
// refusal for a sign to ask for its service principal.
func (c *call) me() error {
	return fail(delegatedOnly, "/me request is only valid with delegated authentication flow.")
}

// listNobody lists people or groups, of which there are none.
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

func (c *call) missing() error { return notFoundError(c.path.keys[0].value) }

// maxIDs is Graph's own limit.
// https://learn.microsoft.com/graph/api/directoryobject-getbyids
const maxIDs = 1000

// byIDs finds objects of several types by their ids. What does not exist is left out.
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
	wanted := len(in.Types) == 0
	for _, t := range in.Types {
		wanted = wanted || strings.EqualFold(t, "servicePrincipal") || strings.EqualFold(t, "directoryObject")
	}
	body, seen := listBody{Context: c.context("directoryObjects"), Value: []any{}}, map[string]bool{}
	for _, id := range in.IDs {
		if !model.ValidUUID(id) {
			return fail(badRequest, "Invalid GUID: %.100q", id)
		}
		id = strings.ToLower(id)
		e := c.view.First(model.PrincipalIndex(id))
		if e == nil || !wanted || seen[id] {
			continue
		}
		seen[id] = true
		if p := c.showPrincipal(e.Value); p != nil {
			p.Type = "#microsoft.graph.servicePrincipal"
			body.Value = append(body.Value, p)
		}
	}
	return c.reply(http.StatusOK, body)
}
