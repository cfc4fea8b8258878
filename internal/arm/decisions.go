package arm

import (
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
)

// headerPeer says that another server of the same store asks. It gets this server's
// own records.
const headerPeer = "X-Lanyard-Peer"

// getDecisions is the records of one request, of whichever server.
func (c *call) getDecisions() error {
	return c.answerDecisions(audit.Query{ID: c.id.Name()})
}

// listDecisions is the newest records that a query wants.
func (c *call) listDecisions() error {
	q, err := audit.ParseQuery(c.query)
	if err != nil {
		return fail(badRequest, "The query is invalid: %s.", err)
	}
	if c.r.Header.Get(headerPeer) == "" {
		q.Identities = c.idsOf(q.Identities)
	}
	return c.answerDecisions(q)
}

func (c *call) answerDecisions(q audit.Query) error {
	token := ""
	if c.r.Header.Get(headerPeer) == "" {
		_, token, _ = strings.Cut(c.r.Header.Get("Authorization"), " ")
	}
	answer, err := c.s.decisions(c.r.Context(), q, strings.TrimSpace(token))
	if err != nil {
		return err
	}
	if answer.Value == nil {
		answer.Value = []audit.Record{}
	}
	return httpx.WriteJSON(c.w, http.StatusOK, answer)
}

// maxIDs is how many ids a query's names stand for.
const maxIDs = 20

// idsOf adds to names of identities and applications the ids that records have of
// them: a refused token request names a client id only.
func (c *call) idsOf(names []string) []string {
	all := names
	for _, n := range names {
		for e := range c.view.Lookup(model.NameIndex(n)) {
			var ids []string
			switch o := e.Value.(type) {
			case *model.Identity:
				ids = []string{o.ClientID, o.PrincipalID}
			case *model.Application:
				ids = []string{o.AppID, o.PrincipalID}
			}
			if len(all)+len(ids) <= maxIDs {
				all = append(all, ids...)
			}
		}
	}
	return all
}
