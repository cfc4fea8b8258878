package sts

import (
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/names"
)

// publicNames is Microsoft's authority, for a workload that was told of no other:
// behind an identity binding endpoint it believes that it talks to that.
func publicNames() *names.Set {
	return &names.Set{Azure: true, Login: azureAliases[0], Management: "management.azure.com", Graph: "graph.microsoft.com", VaultZone: "vault.azure.net", Port: 443}
}

// publicInstance is instance, and knows that authority too. SDKs ask it about
// every other authority, ours included.
func (s *Server) publicInstance(w http.ResponseWriter, r *http.Request, set *names.Set) error {
	rest, ok := strings.CutPrefix(r.URL.Query().Get("authorization_endpoint"), set.LoginURL()+"/")
	if !ok {
		return s.instance(w, r)
	}
	segment, _, _ := strings.Cut(rest, "/")
	form, err := s.tenant(segment)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, instanceBody{
		Endpoint: set.LoginURL() + "/" + s.segment(form) + "/v2.0/.well-known/openid-configuration",
		Version:  "1.1", Metadata: []instanceEntry{entryOf(set)},
	})
}
