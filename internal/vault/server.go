package vault

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for New. Fields without a stated default are required.
type Config struct {
	Store  *store.Store
	Sealer *seal.Sealer
	Gate   *access.Gate
	// Authenticate finds who sent a request to a surface. Its error has kind
	// Unauthenticated with an *access.TokenError in its chain.
	Authenticate func(r *http.Request, surface names.Surface) (model.Caller, error)
	// TenantID is the one tenant; backups are bound to it.
	TenantID string
	// ChallengeTenant is the tenant that challenges name. Default TenantID;
	// "adfs" for clients that run with AZURE_TENANT_ID=adfs.
	ChallengeTenant string
	// Region is what x-ms-keyvault-region says. Default "local".
	Region string
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // default none
}

// Server is the vault surface.
type Server struct {
	table        []operation
	store        *store.Store
	sealer       *seal.Sealer
	items        items.Items
	gate         *access.Gate
	authenticate func(r *http.Request, surface names.Surface) (model.Caller, error)
	tenant       string
	challenge    string // the challenge's tenant
	header       http.Header
	now          func() time.Time
	log          *slog.Logger
}

// New checks the configuration.
func New(c Config) (*Server, error) {
	switch {
	case c.Store == nil || c.Sealer == nil || c.Gate == nil || c.Authenticate == nil:
		return nil, errors.New("vault: Store, Sealer, Gate and Authenticate are required")
	case c.TenantID == "":
		return nil, errors.New("vault: TenantID is required")
	}
	if c.ChallengeTenant == "" {
		c.ChallengeTenant = c.TenantID
	}
	if c.Region == "" {
		c.Region = "local"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		table: rows(), gate: c.Gate, authenticate: c.Authenticate,
		store: c.Store, sealer: c.Sealer, items: items.Items{Store: c.Store, Sealer: c.Sealer},
		tenant: c.TenantID,
		// SDKs compare the challenge's tenant with the credential's byte for byte.
		challenge: strings.ToLower(c.ChallengeTenant),
		header:    commonHeader(c.Region), now: c.Now, log: c.Log,
	}, nil
}

// serviceVersion is what x-ms-keyvault-service-version says; clients only log it.
const serviceVersion = "1.0.0.0"

func commonHeader(region string) http.Header {
	h := http.Header{}
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000;includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Ms-Keyvault-Region", region)
	h.Set("X-Ms-Keyvault-Service-Version", serviceVersion)
	return h
}

// Surface is what the edge serves on vault hosts.
func (s *Server) Surface() httpx.Surface {
	return httpx.Surface{
		Name:   "vault",
		Routes: s.routes(),
		Authenticate: func(r *http.Request) (model.Caller, error) {
			return s.authenticate(r, names.Vault)
		},
		WriteError: s.writeError,
		Header:     s.setHeader,
	}
}

// setHeader shares the values of s.header between answers: net/http only reads them.
func (s *Server) setHeader(h http.Header, r *http.Request) {
	for k, v := range s.header {
		h[k] = v
	}
	q := obs.RequestFrom(r.Context())
	ids := [...]string{q.ID, q.Correlation, networkInfo(q.Remote)}
	h["X-Ms-Request-Id"] = ids[0:1:1]
	h["X-Ms-Client-Request-Id"] = ids[1:2:2]
	h["X-Ms-Keyvault-Network-Info"] = ids[2:3:3]
}

func networkInfo(remote string) string {
	if strings.Contains(remote, ":") {
		return "conn_type=Ipv6;addr=" + remote + ";act_addr_fam=InterNetworkV6;"
	}
	return "conn_type=Ipv4;addr=" + remote + ";act_addr_fam=InterNetwork;"
}
