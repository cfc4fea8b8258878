package httpx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/apierr"
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
	// WriteError answers with err in the surface's own format. The edge calls it for its
	// own refusals too (no route, too large, too slow, a panic).
	WriteError func(w http.ResponseWriter, r *http.Request, err error)
	// Header sets every answer's headers, before the handler runs. May be nil.
	Header func(h http.Header, r *http.Request)
}

// Config for New.
type Config struct {
	Names    *names.Names
	Surfaces map[names.Surface]Surface
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	Now      func() time.Time
	// Finish, if set, is told how each request ends before its answer begins. When
	// it fails, its error is the answer.
	Finish func(ctx context.Context, status int, code string) error
	// MaxInFlight over all routes; default 4,096.
	MaxInFlight int
}

const (
	defaultMaxInFlight      = 4096
	defaultRouteMaxInFlight = 1000
	throttleRetry           = time.Second
)

// Edge is the handler of the main listener.
type Edge struct {
	names       *names.Names
	log         *slog.Logger
	now         func() time.Time
	metrics     *metrics
	finish      func(ctx context.Context, status int, code string) error
	maxInFlight int64
	inFlight    atomic.Int64
	nowhere     *surface // answers hosts that are not ours
	surfaces    map[names.Surface]*surface
}

type surface struct {
	Surface
	mux *http.ServeMux
}

// route is a Route as the mux holds it.
type route struct {
	Route
	surface  *surface
	inFlight atomic.Int64
}

// New checks every route and builds the muxes, one per surface.
func New(c Config) (*Edge, error) {
	if c.Names == nil || c.Log == nil || c.Now == nil {
		return nil, errors.New("edge: Names, Log and Now must be set")
	}
	e := &Edge{
		names: c.Names, log: c.Log, now: c.Now, finish: c.Finish, maxInFlight: int64(c.MaxInFlight),
		nowhere: newNowhere(c.Names), surfaces: map[names.Surface]*surface{},
	}
	if e.maxInFlight <= 0 {
		e.maxInFlight = defaultMaxInFlight
	}
	for id, s := range c.Surfaces {
		built, err := newSurface(s)
		if err != nil {
			return nil, fmt.Errorf("surface %s: %w", id, err)
		}
		e.surfaces[id] = built
	}
	m, err := newMetrics(c.Metrics, func() float64 { return float64(e.inFlight.Load()) })
	if err != nil {
		return nil, err
	}
	e.metrics = m
	return e, nil
}

func newSurface(s Surface) (*surface, error) {
	if s.Name == "" || s.WriteError == nil {
		return nil, errors.New("a surface needs a Name and WriteError")
	}
	built := &surface{Surface: s, mux: http.NewServeMux()}
	for _, r := range s.Routes {
		if err := built.add(r); err != nil {
			return nil, fmt.Errorf("route %q: %w", r.Pattern, err)
		}
	}
	return built, nil
}

func (s *surface) add(r Route) (err error) {
	switch {
	case r.Op == "":
		return errors.New("no Op")
	case r.MaxBody == 0 || r.MaxBody < NoBody:
		return errors.New("no MaxBody: set a limit in bytes, or NoBody")
	case r.Timeout <= 0:
		return errors.New("no Timeout")
	case r.Handle == nil:
		return errors.New("no Handle")
	case r.Auth && s.Authenticate == nil:
		return errors.New("the route needs Auth, and its surface has no Authenticate")
	}
	if r.MaxInFlight <= 0 {
		r.MaxInFlight = defaultRouteMaxInFlight
	}
	// ServeMux reports a malformed or conflicting pattern by a panic.
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	s.mux.Handle(r.Pattern, &route{Route: r, surface: s})
	return nil
}

// newNowhere is the surface of every host that is not ours: no routes, and a
// plain text that says which names are served.
// https://www.rfc-editor.org/rfc/rfc9110#name-421-misdirected-request
func newNowhere(n *names.Names) *surface {
	served := n.Needed()
	for i, name := range served {
		served[i] = n.Own().HostPort(strings.Replace(name, "*", "NAME", 1))
	}
	last := len(served) - 1
	text := "This server answers to " + strings.Join(served[:last], ", ") + " and " + served[last] + " only.\n"
	return &surface{mux: http.NewServeMux(), Surface: Surface{
		Name: "none",
		WriteError: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, text[:len(text)-1], http.StatusMisdirectedRequest)
		},
	}}
}

// ServeHTTP implements http.Handler.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, edge: e, start: e.now(), op: opOther, routing: true}
	busy := e.inFlight.Add(1) > e.maxInFlight
	defer e.inFlight.Add(-1)

	surfaceID, family, thing := e.names.Route(r.Host)
	x.family, x.thing, x.surface = family, thing, e.surfaces[surfaceID]
	if x.surface == nil {
		x.surface = e.nowhere
	}
	x.path = r.URL.Path
	r = x.attach(r)

	x.run(r, busy)
	if x.err == nil && x.status == 0 { // net/http is to answer for a handler that wrote nothing
		x.finish(http.StatusOK)
	}
	if x.unfinished != nil {
		x.err = x.unfinished
	}
	if x.err != nil {
		x.fail(r)
	}
	if x.abort {
		x.finish(x.status)
	}
	e.observe(x, r)
	if x.abort {
		panic(http.ErrAbortHandler)
	}
}

// run routes the request and calls its handler; the error is in x.err.
func (x *exchange) run(r *http.Request, busy bool) {
	defer x.recover()
	if x.surface.Header != nil {
		x.surface.Header(x.ResponseWriter.Header(), r)
	}
	if busy {
		x.err = &apierr.Error{Kind: apierr.Throttled, Detail: "The server is busy. Try again.", RetryAfter: throttleRetry}
		return
	}
	if x.err = normalise(r); x.err != nil {
		return
	}
	x.surface.mux.ServeHTTP(x, r)
	if x.routing {
		x.err = x.unrouted()
	}
}

// ServeHTTP runs the route: limits first, then the caller, then the handler.
func (rt *route) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r)
	x.routing, x.op = false, rt.Op
	x.err = rt.serve(x, r)
}

func (rt *route) serve(x *exchange, r *http.Request) error {
	defer rt.inFlight.Add(-1)
	if rt.inFlight.Add(1) > int64(rt.MaxInFlight) {
		return &apierr.Error{Kind: apierr.Throttled, Detail: "Too many requests of this kind. Try again.", RetryAfter: throttleRetry}
	}

	ctx, cancel := context.WithTimeout(r.Context(), rt.Timeout)
	defer cancel()
	x.setDeadlines(r, rt.Timeout)
	r = r.WithContext(ctx)

	if rt.Auth {
		caller, err := rt.surface.Authenticate(r)
		if err != nil {
			return err
		}
		x.caller = caller
	}

	x.maxBody = rt.MaxBody
	switch {
	case rt.MaxBody == NoBody:
		ignoreBody(r)
	case r.ContentLength > rt.MaxBody:
		return tooLarge(rt.MaxBody, nil)
	case r.ContentLength != 0:
		// The inner writer: MaxBytesReader tells it to close the connection.
		r.Body = http.MaxBytesReader(x.ResponseWriter, r.Body, rt.MaxBody)
	}
	return classify(ctx, rt.Handle(x, r))
}

// classify gives a kind to the errors of the body and of the deadline that a
// handler passed on as they were.
func classify(ctx context.Context, err error) error {
	if err == nil || apierr.KindOf(err) != apierr.Internal {
		return err
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(e.Limit, err)
	}
	ended := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	if ended && ctx.Err() != nil || isTimeout(err) {
		return apierr.Wrap(err, apierr.Timeout, "The request did not end in time.")
	}
	return err
}
