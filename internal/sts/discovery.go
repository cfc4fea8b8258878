package sts

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/names"
)

// documentKey says what a discovery document depends on.
type documentKey struct {
	family *names.Hosts
	form   tenantForm
	v2     bool
}

// openID is the discovery document.
// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
type openID struct {
	TokenEndpoint         string   `json:"token_endpoint"`
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	JWKS                  string   `json:"jwks_uri"`
	ResponseModes         []string `json:"response_modes_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	SigningAlgs           []string `json:"id_token_signing_alg_values_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	Scopes                []string `json:"scopes_supported"`
	Issuer                string   `json:"issuer"`
	RequestURISupported   bool     `json:"request_uri_parameter_supported"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint,omitempty"`
	EndSessionEndpoint    string   `json:"end_session_endpoint,omitempty"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	Claims                []string `json:"claims_supported"`
	CloudInstance         string   `json:"cloud_instance_name"`
	CloudGraphHost        string   `json:"cloud_graph_host_name"`
	GraphHost             string   `json:"msgraph_host"`
}

func (s *Server) openIDv2(w http.ResponseWriter, r *http.Request) error { return s.openID(w, r, true) }
func (s *Server) openIDv1(w http.ResponseWriter, r *http.Request) error { return s.openID(w, r, false) }

func (s *Server) openID(w http.ResponseWriter, r *http.Request, v2 bool) error {
	family, _ := httpx.Target(r)
	return s.openIDFor(w, r, family, v2)
}

func (s *Server) openIDFor(w http.ResponseWriter, r *http.Request, family *names.Hosts, v2 bool) error {
	form, err := s.tenant(r.PathValue("tenant"))
	if codeOf(err) == codeTenantUnknown {
		// Here, unlike at the token endpoint, this has an error of its own.
		return refuse(codeTenantDocument, "%s", apierr.Detail(err))
	}
	if err != nil {
		return err
	}
	body, err := s.document(documentKey{family, form, v2})
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Cache-Control", "max-age=3600, private")
	return writeBody(w, body)
}

// document renders a document at its first use: there is one for each name
// family and way to name the tenant.
func (s *Server) document(key documentKey) ([]byte, error) {
	if b, ok := s.documents.Load(key); ok {
		return b.([]byte), nil
	}
	b, err := json.Marshal(s.describe(key))
	if err != nil {
		return nil, fmt.Errorf("encoding the discovery document: %w", err)
	}
	s.documents.Store(key, b)
	return b, nil
}

func (s *Server) describe(key documentKey) *openID {
	base := key.family.LoginURL() + "/" + s.segment(key.form)
	d := &openID{
		AuthMethods:   authMethods(),
		ResponseModes: []string{"query", "form_post"}, ChallengeMethods: []string{"S256"},
		SubjectTypes: []string{"pairwise"}, SigningAlgs: []string{"RS256"},
		ResponseTypes: []string{"code"},
		GrantTypes:    s.grants(),
		Scopes:        []string{"openid", "profile", "email", "offline_access"},
		Claims:        []string{"sub", "iss", "aud", "exp", "iat", "nbf", "appid", "appidacr", "idp", "idtyp", "oid", "tid", "uti", "ver", "nonce", "name", "preferred_username", "upn"},
		CloudInstance: key.family.HostPort(key.family.Host(names.Login)), CloudGraphHost: key.family.HostPort(key.family.Host(names.Graph)), GraphHost: key.family.HostPort(key.family.Host(names.Graph)),

		TokenEndpoint: base + "/oauth2/token", JWKS: base + "/discovery/keys",
		AuthorizationEndpoint: base + "/oauth2/v2.0/authorize", // in v1 documents too: there is no other
		DeviceEndpoint:        base + "/oauth2/v2.0/devicecode",
		EndSessionEndpoint:    base + "/oauth2/v2.0/logout",
		Issuer:                access.TokenIssuer(key.family, s.tenantID),
	}
	if key.v2 && key.form != tenantADFS {
		d.TokenEndpoint, d.JWKS = base+"/oauth2/v2.0/token", base+"/discovery/v2.0/keys"
		d.Issuer = base + "/v2.0"
	}
	switch key.form {
	case tenantADFS:
		d.Issuer = base
	case tenantCommon, tenantOrganizations:
		// The placeholder is literal: the issuer depends on who signs in.
		d.Issuer = strings.Replace(d.Issuer, s.tenantID, "{tenantid}", 1)
		d.Issuer = strings.Replace(d.Issuer, "/"+s.segment(key.form)+"/", "/{tenantid}/", 1)
	case tenantOwn:
	}
	return d
}

// grants are the grant types that the token endpoint takes.
func (s *Server) grants() []string {
	var all []string
	for _, g := range grants {
		if g.offered == nil || g.offered(s) {
			all = append(all, g.name)
		}
	}
	return all
}

// jwks serves our public keys; every tenant form has the same ones.
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.tenant(r.PathValue("tenant")); err != nil {
		return err
	}
	doc := s.keys.JWKS()
	h := w.Header()
	h.Set("ETag", doc.ETag)
	// A new key is published for longer than this before it signs.
	h.Set("Cache-Control", "max-age=3600, public")
	if etagMatches(r.Header.Get("If-None-Match"), doc.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return writeBody(w, doc.Body)
}

// etagMatches reads If-None-Match. https://www.rfc-editor.org/rfc/rfc9110#name-if-none-match
func etagMatches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

func writeBody(w http.ResponseWriter, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	return nil
}

// instanceBody answers instance discovery.
type instanceBody struct {
	Endpoint string          `json:"tenant_discovery_endpoint"`
	Version  string          `json:"api-version"`
	Metadata []instanceEntry `json:"metadata"`
}

type instanceEntry struct {
	Network string   `json:"preferred_network"`
	Cache   string   `json:"preferred_cache"`
	Aliases []string `json:"aliases"`
}

// instance tells a client whether an authority that it does not know is one.
// The answer is made of our own names, never of the query: MSAL for Python
// leaves the port out of authorization_endpoint.
func (s *Server) instance(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	asked := query.Get("authorization_endpoint")
	if asked == "" {
		return refuse(codeParameter, "The request must contain the following parameter: 'authorization_endpoint'.")
	}
	family, tenant, ok := s.authority(asked)
	if !ok {
		return refuse(codeInstance, "Unknown or invalid instance. The authority %s is not one of this server's.", quote(asked))
	}
	body := instanceBody{
		Endpoint: family.LoginURL() + "/" + tenant + "/v2.0/.well-known/openid-configuration",
		Version:  "1.1",
		Metadata: []instanceEntry{entryOf(family)},
	}
	if query.Get("api-version") == "1.0" {
		body.Version = "1.0"
	}
	w.Header().Set("Cache-Control", "max-age=3600, private")
	return httpx.WriteJSON(w, http.StatusOK, body)
}

// authority finds the name family of an authority's URL, and how it names the tenant.
func (s *Server) authority(raw string) (family *names.Hosts, tenant string, ok bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, "", false
	}
	surface, family, _ := s.names.Route(u.Host)
	if surface != names.Login || u.Port() != "" && u.Port() != strconv.Itoa(family.Port) {
		return nil, "", false
	}
	segment, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if segment == "" {
		return family, s.tenantID, true
	}
	form, err := s.tenant(segment)
	if err != nil {
		// A tenant that is not ours is refused by its discovery document.
		return family, url.PathEscape(apierr.Shown(segment, maxShown)), true
	}
	return family, s.segment(form), true
}

func entryOf(family *names.Hosts) instanceEntry {
	host := family.HostPort(family.Host(names.Login))
	if family.Azure {
		return instanceEntry{Network: host, Cache: "login.windows.net", Aliases: family.All(names.Login)}
	}
	return instanceEntry{Network: host, Cache: host, Aliases: []string{host}}
}

// userRealm says how a user signs in: with a password, here. Clients ask before
// they send one. The answer is the same for every name.
func (s *Server) userRealm(w http.ResponseWriter, r *http.Request) error {
	family, _ := httpx.Target(r)
	_, domain, _ := strings.Cut(s.people.FullName(r.PathValue("upn")), "@")
	return httpx.WriteJSON(w, http.StatusOK, struct {
		Version  string `json:"ver"`
		Type     string `json:"account_type"`
		Domain   string `json:"domain_name"`
		Instance string `json:"cloud_instance_name"`
		Audience string `json:"cloud_audience_urn"`
	}{"1.0", "Managed", apierr.Shown(domain, maxShown), family.HostPort(family.Host(names.Login)), "urn:federation:MicrosoftOnline"})
}
