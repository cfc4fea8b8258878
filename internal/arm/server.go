package arm

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/signing"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for New. All of it is needed unless it says otherwise.
type Config struct {
	Store *store.Store
	Gate  *access.Gate
	Names *names.Names
	// TenantID and SubscriptionID are GUIDs in lower case: the one tenant, and
	// its one subscription.
	TenantID         string
	SubscriptionID   string
	SubscriptionName string // default "Lanyard"
	// Authenticate finds who calls. Its errors are of kind
	// apierr.Unauthenticated, with a *access.TokenError in the chain.
	Authenticate func(r *http.Request, s names.Surface) (model.Caller, error)
	// MaxCredentials is how many federated credentials one identity may have;
	// 0 = no limit. Azure's limit is 20.
	MaxCredentials int
	// Decisions finds recorded decisions: with a token, which is then the caller's,
	// also those of other servers; without one this server's own. Keys are
	// the token service's own: they serve the types decisions and signingKeys of
	// Lanyard.Trust. A type whose field is nil does not exist.
	Decisions func(ctx context.Context, q audit.Query, token string) (audit.Answer, error)
	Keys      *signing.Keys
	// Sealer seals secrets that are set here. Without one the type vaults/secrets
	// does not exist.
	Sealer *seal.Sealer
	// Clusters are the attached ones. Without them the type managedClusters does
	// not exist.
	Clusters Clusters
	Now      func() time.Time // default time.Now
	Log      *slog.Logger     // default: discard
}

// Server answers Resource Manager's requests.
type Server struct {
	store            *store.Store
	gate             *access.Gate
	names            *names.Names
	tenantID         string
	subscriptionID   string
	subscriptionName string
	authenticate     func(*http.Request, names.Surface) (model.Caller, error)
	maxCredentials   int
	decisions        func(ctx context.Context, q audit.Query, token string) (audit.Answer, error)
	keys             *signing.Keys
	sealer           *seal.Sealer
	clusters         Clusters
	now              func() time.Time
	log              *slog.Logger

	table map[string]*row // by lower-case type
	rows  []*row          // in the order of the table, for lists of types
	sub   string          // the subscription's id: /subscriptions/…
	wheel func() ([]byte, error)
}

// New checks the configuration and builds the type table.
func New(c Config) (*Server, error) {
	switch {
	case c.Store == nil || c.Gate == nil || c.Names == nil || c.Authenticate == nil:
		return nil, errors.New("arm: Store, Gate, Names and Authenticate are needed")
	case !model.ValidUUID(c.TenantID) || strings.ToLower(c.TenantID) != c.TenantID:
		return nil, errors.New("arm: TenantID must be a GUID in lower case")
	case !model.ValidUUID(c.SubscriptionID) || strings.ToLower(c.SubscriptionID) != c.SubscriptionID:
		return nil, errors.New("arm: SubscriptionID must be a GUID in lower case")
	case c.MaxCredentials < 0:
		return nil, errors.New("arm: MaxCredentials must not be negative")
	}
	if c.SubscriptionName == "" {
		c.SubscriptionName = "Lanyard"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		store: c.Store, gate: c.Gate, names: c.Names, tenantID: c.TenantID, subscriptionID: c.SubscriptionID, subscriptionName: c.SubscriptionName,
		authenticate: c.Authenticate, maxCredentials: c.MaxCredentials, decisions: c.Decisions, keys: c.Keys, sealer: c.Sealer, clusters: c.Clusters,
		now: c.Now, log: c.Log,
		sub: "/subscriptions/" + c.SubscriptionID, wheel: sync.OnceValues(buildWheel),
	}
	return s, s.fillTable()
}

// Limits of every route. A resource group with all that it holds is deleted
// within one request, hence the time.
const (
	maxBody     = 4 << 20 // Resource Manager's own limit
	readTimeout = 30 * time.Second
	timeout     = 2 * time.Minute
)

// Surface is the routes, for the edge. Types are matched by the table and not by
// patterns: a ServeMux is case-sensitive, resource ids are not.
func (s *Server) Surface() httpx.Surface {
	return httpx.Surface{
		Name: "arm",
		Routes: append(s.extensionRoutes(), []httpx.Route{
			{Pattern: "GET /metadata/endpoints", Op: "metadata.get", MaxBody: httpx.NoBody, Timeout: readTimeout, Handle: s.metadata},
			{Pattern: "GET /", Op: "resource.get", Auth: true, MaxBody: httpx.NoBody, Timeout: readTimeout, Handle: s.serve},
			{Pattern: "PUT /", Op: "resource.put", Auth: true, MaxBody: maxBody, Timeout: timeout, Handle: s.serve},
			{Pattern: "PATCH /", Op: "resource.patch", Auth: true, MaxBody: maxBody, Timeout: timeout, Handle: s.serve},
			{Pattern: "POST /", Op: "resource.post", Auth: true, MaxBody: maxBody, Timeout: timeout, Handle: s.serve},
			{Pattern: "DELETE /", Op: "resource.delete", Auth: true, MaxBody: httpx.NoBody, Timeout: timeout, Handle: s.serve},
		}...),
		Authenticate: func(r *http.Request) (model.Caller, error) { return s.authenticate(r, names.Management) },
		WriteError:   s.writeError,
		Header:       s.header,
	}
}

// header sets what every answer carries.
// https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
func (s *Server) header(h http.Header, r *http.Request) {
	q := obs.RequestFrom(r.Context())
	correlation := q.ID
	if model.ValidUUID(q.Correlation) {
		correlation = q.Correlation
	}
	h.Set("x-ms-request-id", q.ID)
	h.Set("x-ms-correlation-request-id", correlation)
	h.Set("x-ms-routing-request-id", "LANYARD:"+s.now().UTC().Format("20060102T150405Z")+":"+q.ID)
	if sent := r.Header.Get("x-ms-client-request-id"); sent != "" && sent == q.Correlation {
		h.Set("x-ms-client-request-id", sent)
	}
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
}
