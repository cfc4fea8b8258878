package sts

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/signin"
	"github.com/lanyard-io/lanyard/internal/signing"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/trust"
)

// Config for New. Fields without a stated default are required.
type Config struct {
	Store    *store.Store
	Keys     *signing.Keys
	Trust    *trust.Verifier
	Gate     *access.Gate
	Names    *names.Names
	TenantID string // the one tenant, a GUID
	Sealer   *seal.Sealer
	// Clusters judges the tokens that come to attached clusters' identity binding
	// endpoints; nil: there are none.
	Clusters Clusters
	// NoPasswordGrant refuses to take a user's password from a client: people
	// then sign in on our page only.
	NoPasswordGrant bool

	// Limits of what one address may have that nobody has authenticated.
	Limits Limits

	// RS256 signs every token with RSA, as Entra does. By default tokens for our
	// own surfaces, which alone verify them, are ES256.
	RS256 bool
	// AppLifetime of an application's tokens. Default 1 h.
	AppLifetime time.Duration
	// IdentityLifetime of a managed identity's tokens. Default 24 h.
	IdentityLifetime time.Duration
	// Audiences are resources besides our own surfaces and the registered
	// applications, such as api://my-app. A trailing slash does not matter.
	Audiences []string

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default none
}

// Server is the token service's surface.
type Server struct {
	store            *store.Store
	keys             *signing.Keys
	trust            *trust.Verifier
	gate             *access.Gate
	names            *names.Names
	tenantID         string // lower case
	domain           string // our domain, which is a name of the tenant too
	rs256            bool
	appLifetime      time.Duration
	identityLifetime time.Duration
	audiences        map[string]bool // without trailing slash
	now              func() time.Time
	log              *slog.Logger
	rechecks         *rechecks
	people           *signin.People
	clusters         Clusters
	noPasswordGrant  bool
	polls            polls
	limits           limits
	pages            *pages
	documents        sync.Map // documentKey → []byte; one for each name family and tenant form
}

// Routes' limits. A token request is mostly its assertion, which trust limits to
// 64 KiB; percent-encoding may make it longer.
const (
	tokenMaxBody     = 128 << 10
	tokenTimeout     = 15 * time.Second
	discoveryTimeout = 5 * time.Second
	pageMaxBody      = 16 << 10
	pagesInFlight    = 128
)

// New checks the configuration.
func New(c Config) (*Server, error) {
	switch {
	case c.Store == nil || c.Keys == nil || c.Trust == nil || c.Gate == nil || c.Names == nil || c.Sealer == nil:
		return nil, errors.New("sts: Store, Keys, Trust, Gate, Names and Sealer are required")
	case !model.ValidUUID(c.TenantID):
		return nil, errors.New("sts: TenantID must be a GUID")
	}
	if c.AppLifetime <= 0 {
		c.AppLifetime = time.Hour
	}
	if c.IdentityLifetime <= 0 {
		c.IdentityLifetime = 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	domain, limits := c.Names.Own().Domain, newLimits(c.Limits, c.Now)
	people, err := signin.New(signin.Config{Store: c.Store, Sealer: c.Sealer, Domain: domain, Failures: limits.signIns, Now: c.Now})
	if err != nil {
		return nil, err
	}
	s := &Server{
		store: c.Store, keys: c.Keys, trust: c.Trust, gate: c.Gate, names: c.Names,
		tenantID: strings.ToLower(c.TenantID),
		domain:   domain,
		rs256:    c.RS256, appLifetime: c.AppLifetime, identityLifetime: c.IdentityLifetime,
		audiences: map[string]bool{}, now: c.Now, log: c.Log,
		rechecks: &rechecks{fresh: c.Store.Fresh},
		limits:   limits,
		people:   people,
		clusters: c.Clusters, noPasswordGrant: c.NoPasswordGrant, pages: newPages(),
	}
	for _, aud := range c.Audiences {
		s.audiences[strings.TrimSuffix(aud, "/")] = true
	}
	return s, nil
}

// Surface is what the edge serves on login hosts.
func (s *Server) Surface() httpx.Surface {
	get := func(pattern, op string, handle func(http.ResponseWriter, *http.Request) error) httpx.Route {
		return httpx.Route{Pattern: "GET " + pattern, Op: op, MaxBody: httpx.NoBody, Timeout: discoveryTimeout, Handle: handle}
	}
	post := func(pattern, op string, handle func(http.ResponseWriter, *http.Request) error) httpx.Route {
		return httpx.Route{Pattern: "POST " + pattern, Op: op, MaxBody: tokenMaxBody, Timeout: tokenTimeout, Handle: handle}
	}
	page := func(pattern, op string, handle func(http.ResponseWriter, *http.Request) error) httpx.Route {
		return httpx.Route{Pattern: pattern, Op: op, MaxBody: pageMaxBody, Timeout: tokenTimeout, MaxInFlight: pagesInFlight, Handle: handle}
	}
	routes := []httpx.Route{
		s.instanceRoute(),
		get("/common/userrealm/{upn}", "userrealm", s.userRealm),
		get("/common/UserRealm/{upn}", "userrealm", s.userRealm),
		post("/{tenant}/oauth2/v2.0/devicecode", "devicecode", s.deviceCode),
		page("GET /{tenant}/oauth2/v2.0/authorize", "authorize", s.authorize),
		page("POST /{tenant}/oauth2/v2.0/authorize", "authorize", s.authorize),
		page("POST /{tenant}/oauth2/v2.0/login", "login", s.login),
		page("GET /common/oauth2/deviceauth", "device.page", s.devicePage),
		page("POST /common/oauth2/deviceauth", "device.approve", s.deviceApprove),
		page("GET /devicelogin", "device.page", s.devicePage),
		page("GET /{tenant}/oauth2/v2.0/logout", "logout.page", s.logoutPage),
		page("POST /{tenant}/oauth2/v2.0/logout", "logout", s.logout),
		get("/{tenant}/v2.0/.well-known/openid-configuration", "openid.v2", s.openIDv2),
		get("/{tenant}/.well-known/openid-configuration", "openid.v1", s.openIDv1),
		get("/{tenant}/discovery/v2.0/keys", "keys", s.jwks),
		get("/{tenant}/discovery/keys", "keys", s.jwks),
		post("/{tenant}/oauth2/v2.0/token", "token.v2", s.tokenV2),
		post("/{tenant}/oauth2/token", "token.v1", s.tokenV1),
	}
	front := page("GET /{$}", "front.page", s.front)
	// MSAL for JavaScript ends the endpoints of a region with a slash.
	for _, r := range routes {
		r.Pattern += "/{$}"
		routes = append(routes, r)
	}
	return httpx.Surface{
		Name:       "sts",
		Routes:     append(append(routes, front), s.bindingRoutes(nil)...),
		WriteError: s.writeError,
		Header:     setHeader,
	}
}

// DiscoverySurface is what the edge serves on Microsoft's own login host when
// that is answered for instance discovery alone.
func (s *Server) DiscoverySurface() httpx.Surface {
	return httpx.Surface{
		Name:       "discovery",
		Routes:     append(s.bindingRoutes(s.names.Public()), s.instanceRoute()),
		WriteError: s.writeDiscoveryError,
		Header:     setHeader,
	}
}

func (s *Server) instanceRoute() httpx.Route {
	return httpx.Route{
		Pattern: "GET /common/discovery/instance", Op: "instance",
		MaxBody: httpx.NoBody, Timeout: discoveryTimeout, Handle: s.instance,
	}
}

// Values shared by all answers: net/http only reads them.
var (
	headerHSTS    = []string{"max-age=31536000; includeSubDomains"}
	headerNoSniff = []string{"nosniff"}
	headerNoStore = []string{"no-store, no-cache"}
	headerPragma  = []string{"no-cache"}
)

func setHeader(h http.Header, r *http.Request) {
	q := obs.RequestFrom(r.Context())
	h["Strict-Transport-Security"] = headerHSTS
	h["X-Content-Type-Options"] = headerNoSniff
	h["X-Ms-Request-Id"] = []string{q.ID}
	if strings.EqualFold(r.Header.Get("Return-Client-Request-Id"), "true") {
		h["Client-Request-Id"] = []string{q.Correlation}
	}
}

func setNoStore(h http.Header) {
	h["Cache-Control"] = headerNoStore
	h["Pragma"] = headerPragma
}
