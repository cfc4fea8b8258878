package arm

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/trust"
)

var lanyardVersions = []string{"2026-11-01"}

// lanyardRows is Lanyard.Trust: types of our own, at tenant level, for the
// command line.
func (s *Server) lanyardRows() []*row {
	rows := []*row{{
		name: "issuer", typ: "Lanyard.Trust/issuers", versions: lanyardVersions, in: inTenant, listed: inTenant,
		verbs: map[string]verb{
			"GET": {do: (*call).getIssuer}, "LIST": {do: (*call).listIssuers},
			"PUT": {do: (*call).putIssuer}, "DELETE": {do: (*call).deleteIssuer},
		},
	}}
	if s.decisions != nil {
		rows = append(rows, &row{
			name: "decision", typ: "Lanyard.Trust/decisions", versions: lanyardVersions, in: inTenant, listed: inTenant,
			verbs: map[string]verb{"GET": {do: (*call).getDecisions}, "LIST": {do: (*call).listDecisions}},
		})
	}
	if s.keys != nil {
		rows = append(rows, &row{
			name: "signingkey", typ: "Lanyard.Trust/signingKeys", versions: lanyardVersions, in: inTenant, listed: inTenant,
			verbs: map[string]verb{"LIST": {do: (*call).listSigningKeys}},
			onAll: map[string]verb{"rotate": {do: (*call).rotateSigningKeys}},
		})
	}
	return rows
}

type signingKey struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"alg"`
	State     string    `json:"state"` // prepared, active or retired
	Created   time.Time `json:"created"`
}

func (c *call) listSigningKeys() error {
	body, now := listBody{Value: []any{}}, c.s.now()
	for _, k := range c.s.keys.Status() {
		state := "active"
		switch {
		case !k.Retired.IsZero() && !now.Before(k.Retired):
			state = "retired"
		case k.Active.IsZero() || now.Before(k.Active):
			state = "prepared"
		}
		body.Value = append(body.Value, signingKey{ID: k.ID, Algorithm: k.Algorithm, State: state, Created: k.Created})
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

func (c *call) rotateSigningKeys() error {
	if _, err := c.s.keys.Rotate(c.r.Context(), true); err != nil {
		return err
	}
	return c.listSigningKeys()
}

type issuerProperties struct {
	URL   string          `json:"url"`
	Keys  json.RawMessage `json:"keys,omitempty"`  // a JWKS
	Roots string          `json:"roots,omitempty"` // PEM
}

func showIssuer(i *model.Issuer) *resource {
	_, name, _ := strings.Cut(strings.TrimPrefix(i.Key(), "/"), "/")
	return &resource{
		ID: issuerScope + i.Key(), Name: name, Type: "Lanyard.Trust/issuers",
		Properties: issuerProperties{URL: i.URL, Keys: i.Keys, Roots: string(i.Roots)},
	}
}

// issuerScope goes before an issuer's storage key to make its id.
const issuerScope = "/providers/Lanyard.Trust"

// issuer is the stored settings that the id names.
func (c *call) issuer() (*model.Issuer, *store.Entry, error) {
	e := c.view.Get(issuerKey(c.id))
	if e == nil {
		return nil, nil, c.notFound(c.id)
	}
	i, ok := e.Value.(*model.Issuer)
	if !ok {
		return nil, nil, c.notFound(c.id)
	}
	return i, e, nil
}

func issuerKey(id resid.ID) string { return "/issuers/" + strings.ToLower(id.Name()) }

func (c *call) getIssuer() error {
	i, e, err := c.issuer()
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", etag(e.Rev))
	return httpx.WriteJSON(c.w, http.StatusOK, showIssuer(i))
}

func (c *call) listIssuers() error {
	p, err := c.page()
	if err != nil {
		return err
	}
	body, last := listBody{Value: []any{}}, ""
	for e := range c.view.Prefix("/issuers/", p.after) {
		i, ok := e.Value.(*model.Issuer)
		if !ok {
			continue
		}
		if len(body.Value) == p.top {
			body.NextLink = c.nextLink(last)
			break
		}
		body.Value, last = append(body.Value, showIssuer(i)), e.Key
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

func (c *call) putIssuer() error {
	var in struct {
		Properties issuerProperties `json:"properties"`
	}
	if err := httpx.ReadJSON(c.r, &in); err != nil {
		return err
	}
	p := in.Properties
	if err := p.check(); err != nil {
		return err
	}
	i := &model.Issuer{URL: p.URL, Keys: p.Keys, Roots: []byte(p.Roots), Updated: c.s.now().UTC()}
	if i.Key() != issuerKey(c.id) {
		return fail(badRequest, "The settings of issuer '%s' have the name '%s'.", p.URL, strings.TrimPrefix(i.Key(), "/issuers/"))
	}

	if c.s.names.Issues(i.URL) {
		return fail(badRequest, "The issuer '%s' is this server's own: its tokens are no assertions.", i.URL)
	}
	if err := c.checkOwnIssuer(i.URL); err != nil {
		return err
	}
	if err := c.mayChangeKeys(i.URL); err != nil {
		return err
	}
	old := c.view.Get(i.Key())
	if err := c.precondition(old); err != nil {
		return err
	}
	if _, err := c.s.store.Put(c.r.Context(), i, revision(old)); err != nil {
		return err
	}
	status := http.StatusOK
	if old == nil {
		status = http.StatusCreated
	}
	return httpx.WriteJSON(c.w, status, showIssuer(i))
}

// maxIssuerBytes bounds each of an issuer's settings.
const maxIssuerBytes = 256 << 10

func (p *issuerProperties) check() error {
	if err := model.CheckIssuer(p.URL); err != nil {
		return fail(badRequest, "The issuer's url is invalid: %s.", err)
	}
	if bytes.Equal(p.Keys, []byte("null")) {
		p.Keys = nil
	}
	if len(p.Keys) == 0 && p.Roots == "" {
		return fail(badRequest, "An issuer's settings must have keys (a JSON Web Key Set) or roots (PEM), or both.")
	}
	if len(p.Keys) > maxIssuerBytes || len(p.Roots) > maxIssuerBytes {
		return fail(badRequest, "An issuer's keys and roots may each have at most %d bytes.", maxIssuerBytes)
	}
	if len(p.Keys) > 0 {
		if n, err := trust.ParseKeys(p.Keys, model.MaxIssuerKeys); err != nil {
			return fail(badRequest, "The issuer's keys are invalid: %s.", err)
		} else if n == 0 {
			return fail(badRequest, "The issuer's keys are invalid: none of them can verify a token.")
		}
	}
	return checkRoots(p.Roots)
}

func checkRoots(roots string) error {
	for rest := []byte(roots); len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return fail(badRequest, "The issuer's roots must be certificates in PEM, and nothing else.")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fail(badRequest, "The issuer's roots have a certificate that cannot be read.")
		}
	}
	return nil
}

// checkOwnIssuer refuses to change an issuer that an attached cluster keeps current.
func (c *call) checkOwnIssuer(url string) error {
	if e := c.view.First(model.ClusterIssuerIndex(url)); e != nil {
		return fail(conflict, "The keys of issuer '%s' come from the attached cluster '%s', which keeps them current. Detach the cluster first.", url, e.Key)
	}
	return nil
}

func (c *call) deleteIssuer() error {
	i, e, err := c.issuer()
	if err != nil {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err := c.checkOwnIssuer(i.URL); err != nil {
		return err
	}
	if err := c.mayChangeKeys(i.URL); err != nil {
		return err
	}
	if err := c.precondition(e); err != nil {
		return err
	}
	if err := c.s.store.Delete(c.r.Context(), e.Key, e.Rev); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}
