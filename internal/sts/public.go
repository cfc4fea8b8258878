package sts

import (
	"context"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// builtInClient gives the name of one of Microsoft's own public clients, which sign in
// here as they do there: they keep no secret, and listen on loopback.
// https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in
func builtInClient(clientID string) (name string) {
	switch strings.ToLower(clientID) {
	case "04b07795-8ddb-461a-bbee-02f9e1bf7b46":
		return "Azure CLI"
	case "1950a258-227b-4e31-a9cf-717495945fc2":
		return "Azure PowerShell"
	}
	return ""
}

// signInClient is a client that people sign in for.
type signInClient struct {
	id   string // lower case
	name string
	app  *model.Application // nil for a built-in one
}

func (s *Server) signInClient(view *store.View, clientID string) (c signInClient, err error) {
	c.id = strings.ToLower(clientID)
	if c.name = builtInClient(clientID); c.name != "" {
		return c, nil
	}
	found, err := s.client(view, clientID)
	if err == nil && found.app == nil {
		err = errIdentity(clientID)
	}
	if err != nil {
		return c, err
	}
	c.app, c.name = found.app, found.app.Name
	return c, nil
}

// redirects says whether a redirect URI is the client's, and whether the client
// must prove itself behind it. Everything is compared byte for byte, but a
// loopback URI's port, which is a native client's to choose.
// https://www.rfc-editor.org/rfc/rfc8252#section-7.3
func (c *signInClient) redirects(uri string) (proven, ok bool) {
	if c.app == nil {
		plain := strings.TrimSuffix(withoutLoopbackPort(uri), "/")
		return false, plain == "http://localhost" || plain == "http://127.0.0.1" || plain == "http://[::1]"
	}
	for _, r := range c.app.PublicRedirects {
		if r == uri || withoutLoopbackPort(r) == withoutLoopbackPort(uri) {
			return false, true
		}
	}
	for _, r := range c.app.WebRedirects {
		if r == uri {
			return true, true
		}
	}
	return false, false
}

// withoutLoopbackPort takes the port out of http://localhost:PORT/…; any other
// URI it leaves as it is.
func withoutLoopbackPort(uri string) string {
	for _, origin := range [...]string{"http://localhost", "http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, origin+":")
		if !ok {
			continue
		}
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if path := rest[digits:]; digits > 0 && digits <= 5 && (path == "" || path[0] == '/') {
			return origin + path
		}
	}
	return uri
}

func errIdentity(clientID string) error {
	return refuse(codeClient, "The client %s is a managed identity: people do not sign in for it.", quote(clientID))
}

// findPublic finds a client that does not prove itself.
func (s *Server) findPublic(ctx context.Context, q *request) (err error) {
	if q.view, err = s.store.Fresh(ctx); err != nil {
		return err
	}
	c, err := s.signInClient(q.view, q.clientID)
	if err != nil {
		return err
	}
	if c.app != nil && !c.app.Public && q.grant.publicOnly {
		return refuse(codeClientProof, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'. The application does not allow public client flows.")
	}
	q.client = client{appID: c.id, app: c.app}
	return nil
}
