package arm

import (
	"net/http"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/httpx"
)

// explainRows is a type of our own: GET /providers/Lanyard.Access/decisions/{id}
// gives the recorded decisions of a request, by its id or correlation id.
func (s *Server) explainRows() []*row {
	if s.c.Explain == nil {
		return nil
	}
	return []*row{{
		name: "decision", typ: "Lanyard.Access/decisions", versions: []string{"2026-01-01"}, in: inTenant,
		verbs: map[string]verb{"GET": {do: (*call).getDecisions}},
	}}
}

func (c *call) getDecisions() error {
	records, err := c.s.c.Explain(c.r.Context(), c.id.Name())
	if err != nil {
		return err
	}
	body := struct {
		Value []audit.Record `json:"value"`
	}{records}
	if body.Value == nil {
		body.Value = []audit.Record{}
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}
