package sts

import (
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/names"
)

// publicInstance is instance, and knows Microsoft's authority too: a workload behind
// an identity binding endpoint that was told of no other believes that it talks to
// that. SDKs ask it about every other authority, ours included.
func (s *Server) publicInstance(w http.ResponseWriter, r *http.Request, family *names.Hosts) error {
	rest, ok := strings.CutPrefix(r.URL.Query().Get("authorization_endpoint"), family.LoginURL()+"/")
	if !ok {
		return s.instance(w, r)
	}
	segment, _, _ := strings.Cut(rest, "/")
	form, err := s.tenant(segment)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, instanceBody{
		Endpoint: family.LoginURL() + "/" + s.segment(form) + "/v2.0/.well-known/openid-configuration",
		Version:  "1.1", Metadata: []instanceEntry{entryOf(family)},
	})
}
