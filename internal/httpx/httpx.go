// Package httpx is the one edge: routes as data, limits on every route, request
// ids, recovery, one log event and one metric observation per request. Handlers
// return errors; only the edge writes them, in the surface's own words.
package httpx

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
)

// Route is one operation. A Route without an Op, MaxBody or Timeout is refused
// by New: every route has limits.
type Route struct {
	Pattern string        // a ServeMux pattern without host: "GET /secrets/{name}/{$}"
	Op      string        // its name in logs and metrics: "secret.get"
	Auth    bool          // the surface's Authenticate runs first, before the body is read
	MaxBody int64         // bytes; NoBody (-1) for none: a body is then ignored
	Timeout time.Duration // for reading the body and answering
	// MaxInFlight is how many requests may be in this route at once; more get
	// apierr.Throttled. Default 1,000.
	MaxInFlight int
	Handle      func(w http.ResponseWriter, r *http.Request) error
}

// NoBody is a Route's MaxBody when the operation takes no body.
const NoBody int64 = -1

// Surface is one host's routes and manners.
type Surface struct {
	Name   string // a metric label: "sts"
	Routes []Route
	// Authenticate verifies the request's token, for routes with Auth. It runs
	// before anything else looks at the request.
	Authenticate func(r *http.Request) (model.Caller, error)
	// WriteError answers with err in the surface's own format. It is also
	// called for what the edge refuses (no route, too large, too slow, a panic).
	WriteError func(w http.ResponseWriter, r *http.Request, err error)
	// Header sets what every answer carries, before the handler runs. May be nil.
	Header func(h http.Header, r *http.Request)
}

// Config for New.
type Config struct {
	Names    *names.Names
	Surfaces map[names.Surface]Surface
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	Now      func() time.Time
	// MaxInFlight over all routes; default 4,096.
	MaxInFlight int
}

// Edge is the handler of the main listener.
type Edge struct{ _ int }

// New checks every route and builds the muxes, one per surface.
func New(c Config) (*Edge, error) { panic("todo") }

// ServeHTTP implements http.Handler.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("todo") }

// Target is where the request was sent: the name family and, on the vault
// surface, the vault's name. Handlers make their URLs from it.
func Target(r *http.Request) (set *names.Set, vault string) { panic("todo") }

// Caller is who the surface's Authenticate found; the zero Caller on routes without Auth.
func Caller(r *http.Request) model.Caller { panic("todo") }

// SetOp names the operation more precisely than the route could (ARM has one
// route for all types). op must come from our own tables.
func SetOp(r *http.Request, op string) { panic("todo") }

// SetCaller is for handlers that learn the caller from the body (the token
// endpoint), so that the log event has it.
func SetCaller(r *http.Request, c model.Caller) { panic("todo") }

// SetCode is the wire code of the answer ("AADSTS700213"), for the log event; the
// surfaces' error writers call it. code must come from our own tables.
func SetCode(r *http.Request, code string) { panic("todo") }

// ReadJSON decodes a body strictly into dst: one value, bounded depth, no
// trailing bytes, no duplicate keys; unknown members are ignored. The error is
// apierr.Invalid, TooLarge or Timeout with a detail fit for callers.
func ReadJSON(r *http.Request, dst any) error { panic("todo") }

// WriteJSON answers with a status and a JSON body, no HTML escaping.
func WriteJSON(w http.ResponseWriter, status int, body any) error { panic("todo") }
