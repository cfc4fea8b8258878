package graph

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/password"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for New. Fields without a stated default are required.
type Config struct {
	Store  *store.Store
	Gate   *access.Gate
	Sealer *seal.Sealer // of password hashes
	// Authenticate finds who sent a request to a surface. Its error has kind
	// Unauthenticated with an *access.TokenError in its chain.
	Authenticate func(r *http.Request, surface names.Surface) (model.Caller, error)
	// TenantID is the one tenant, a GUID in lower case.
	TenantID string
	// MaxCredentials is how many federated credentials one application may have;
	// 0 = no limit. Microsoft's limit is 20.
	MaxCredentials int
	Now            func() time.Time // default time.Now
}

// Server is the directory surface.
type Server struct {
	store          *store.Store
	gate           *access.Gate
	sealer         *seal.Sealer
	authenticate   func(*http.Request, names.Surface) (model.Caller, error)
	tenantID       string
	maxCredentials int
	now            func() time.Time
	passwords      *password.Hasher
	table          map[string]map[string]*operation // by shape, then method
}

// New checks the configuration.
func New(c Config) (*Server, error) {
	switch {
	case c.Store == nil || c.Gate == nil || c.Sealer == nil || c.Authenticate == nil:
		return nil, errors.New("graph: Store, Gate, Sealer and Authenticate are required")
	case !model.ValidUUID(c.TenantID) || strings.ToLower(c.TenantID) != c.TenantID:
		return nil, errors.New("graph: TenantID must be a GUID in lower case")
	case c.MaxCredentials < 0:
		return nil, errors.New("graph: MaxCredentials must not be negative")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Server{
		store: c.Store, gate: c.Gate, sealer: c.Sealer, authenticate: c.Authenticate, tenantID: c.TenantID, maxCredentials: c.MaxCredentials, now: c.Now,
		passwords: password.NewHasher(), table: operations(),
	}, nil
}

// Limits of every route.
const (
	maxBody   = 1 << 20 // an application with all its certificates
	readTime  = 15 * time.Second
	writeTime = 30 * time.Second
	// maxScans is how many reads run at once: a list with a filter may look at
	// every object.
	maxScans = 64
)

// Surface is the routes, for the edge. Paths are matched by the table and not by
// patterns: OData's are not case-sensitive, and have keys in parentheses.
func (s *Server) Surface() httpx.Surface {
	return httpx.Surface{
		Name: "graph",
		Routes: []httpx.Route{
			{Pattern: "GET /", Op: "directory.get", Auth: true, MaxBody: httpx.NoBody, Timeout: readTime, MaxInFlight: maxScans, Handle: s.serve},
			{Pattern: "POST /", Op: "directory.post", Auth: true, MaxBody: maxBody, Timeout: writeTime, Handle: s.serve},
			{Pattern: "PATCH /", Op: "directory.patch", Auth: true, MaxBody: maxBody, Timeout: writeTime, Handle: s.serve},
			{Pattern: "DELETE /", Op: "directory.delete", Auth: true, MaxBody: httpx.NoBody, Timeout: writeTime, Handle: s.serve},
		},
		Authenticate: func(r *http.Request) (model.Caller, error) { return s.authenticate(r, names.Graph) },
		WriteError:   s.writeError,
		Header:       header,
	}
}

// header sets what every answer carries. Some answers hold a new secret, so
// none is kept anywhere.
func header(h http.Header, r *http.Request) {
	q := obs.RequestFrom(r.Context())
	h.Set("request-id", q.ID)
	h.Set("client-request-id", q.Correlation)
	h.Set("OData-Version", "4.0")
	h.Set("Cache-Control", "no-store")
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("X-Content-Type-Options", "nosniff")
}
