package httpx

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/obs"
)

// opOther is the operation of requests that reached no route.
const opOther = "other"

// maxWriteGrace is how much longer than its route's Timeout a request may take
// to send its answer: a body that came too late must still be told so.
const maxWriteGrace = 5 * time.Second

// exchange is one request and its answer. It is the handler's ResponseWriter, so that
// the edge sees the answer.
type exchange struct {
	http.ResponseWriter
	edge    *Edge
	surface *surface
	family  *names.Hosts
	thing   string
	request obs.Request
	start   time.Time
	path    string // as sent, decoded

	// routing: the mux has not found a route yet. Its own answers (redirects, 404, 405)
	// go into the next two fields.
	routing      bool
	routedStatus int
	routedHeader http.Header

	op, code string
	maxBody  int64 // of the route
	bodyRead bool
	body     []byte // once it has been read
	bodyErr  error
	caller   model.Caller
	err      error
	stack    []byte // of a panic
	status   int    // 0: nothing written yet
	bytes    int64
	abort    bool // the connection must not be used further

	finished   bool  // Config.Finish was called
	unfinished error // its error
	silent     bool  // it failed, and the handler's answer is dropped
}

type exchangeKey struct{}

// exchangeOf is the request's exchange; an empty one outside the edge.
func exchangeOf(r *http.Request) *exchange {
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

// Target is the family of names that the request was sent to and, on a surface whose
// things have hosts of their own, the thing's name, such as a vault's. Handlers make
// their URLs from it.
func Target(r *http.Request) (family *names.Hosts, thing string) {
	x := exchangeOf(r)
	return x.family, x.thing
}

// Caller is the caller that the surface's Authenticate found; the zero Caller on routes
// without Auth.
func Caller(r *http.Request) model.Caller { return exchangeOf(r).caller }

// SetOp names the operation more precisely than the route could (ARM has one
// route for all types). op must come from our own tables.
func SetOp(r *http.Request, op string) { exchangeOf(r).op = op }

// SetCaller is for handlers that learn the caller from the body (the token
// endpoint), so that the log event has it.
func SetCaller(r *http.Request, c model.Caller) { exchangeOf(r).caller = c }

// SetCode is the wire code of the answer ("AADSTS700213"), for the log event; the
// surfaces' error writers call it. code must come from our own tables.
func SetCode(r *http.Request, code string) { exchangeOf(r).code = code }

// attach gives the request its ids and puts the exchange in its context.
func (x *exchange) attach(r *http.Request) *http.Request {
	x.request.ID = model.NewUUID()
	x.request.Correlation = correlation(r)
	if x.request.Correlation == "" {
		x.request.Correlation = x.request.ID
	}
	x.request.Remote = withoutPort(r.RemoteAddr)
	x.request.Host = strings.ToLower(r.Host)
	ctx := obs.WithRequest(r.Context(), &x.request)
	return r.WithContext(context.WithValue(ctx, exchangeKey{}, x))
}

// correlation is the client's own id for the request, where it sent a sound one.
// MSAL for JavaScript sends it in the query of the token URL.
func correlation(r *http.Request) string {
	for _, name := range [...]string{"Client-Request-Id", "X-Ms-Client-Request-Id"} {
		if v := r.Header[name]; len(v) > 0 && soundID(v[0]) {
			return v[0]
		}
	}
	if strings.Contains(r.URL.RawQuery, "request") {
		if v := r.URL.Query().Get("client-request-id"); soundID(v) {
			return v
		}
	}
	return ""
}

func soundID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func withoutPort(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		addr = addr[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")
}

// setDeadlines ends slow bodies and slow readers. They are set for every
// request and never cleared: net/http sends the end of the answer, and drains the rest
// of the body, after the handler. Both use the kernel's clock.
func (x *exchange) setDeadlines(r *http.Request, timeout time.Duration) {
	now := time.Now()
	c := http.NewResponseController(x.ResponseWriter)
	// A writer without deadlines (a test's recorder) has no slow peer either.
	if r.ContentLength != 0 {
		_ = c.SetReadDeadline(now.Add(timeout))
	}
	_ = c.SetWriteDeadline(now.Add(timeout + min(timeout, maxWriteGrace)))
}

// unrouted is the error for a request that the mux found no route for. A
// redirect that the mux wished for is "not found": the edge never redirects.
func (x *exchange) unrouted() error {
	if x.routedStatus != http.StatusMethodNotAllowed {
		return apierr.New(apierr.NotFound, "There is nothing at this path.")
	}
	allow := x.routedHeader.Get("Allow")
	x.ResponseWriter.Header().Set("Allow", allow)
	return apierr.New(apierr.MethodNotAllowed, "This path does not take that method; it takes %s.", allow)
}

// fail answers with x.err, unless an answer has begun: then the connection is
// cut, so that the client does not take half an answer for a whole one.
func (x *exchange) fail(r *http.Request) {
	x.routing = false
	if x.status != 0 || x.abort {
		x.abort = true
		return
	}
	h := x.ResponseWriter.Header()
	for _, name := range [...]string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	switch kind := apierr.KindOf(x.err); {
	case kind == apierr.Timeout && r.ProtoMajor == 1:
		h.Set("Connection", "close") // the rest of the body is not coming
	case kind == apierr.Unsupported:
		h.Set("Accept-Encoding", "gzip") // https://www.rfc-editor.org/rfc/rfc9110#name-accept-encoding
	}
	x.silent = false
	x.writeError(r)
	if x.silent { // the record of this very error failed
		x.silent, x.err = false, x.unfinished
		x.writeError(r)
	}
	if x.status == 0 && !x.abort {
		x.WriteHeader(http.StatusInternalServerError)
	}
}

func (x *exchange) writeError(r *http.Request) {
	defer x.recover()
	x.surface.WriteError(x, r, x.err)
}

// recover turns a panic into an error. It must be deferred itself.
func (x *exchange) recover() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares so too
		x.abort = true
		x.err = http.ErrAbortHandler
		return
	}
	x.stack = debug.Stack()
	x.err = apierr.Wrap(fmt.Errorf("panic: %v", v), apierr.Internal, "panic")
}

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header {
	if !x.routing {
		return x.ResponseWriter.Header()
	}
	if x.routedHeader == nil {
		x.routedHeader = http.Header{}
	}
	return x.routedHeader
}

// finish tells how the request ends, once, before the first byte of the answer.
// False means that the answer must not be sent.
func (x *exchange) finish(status int) bool {
	if x.finished || x.request.Act == nil || x.edge.finish == nil {
		return !x.silent
	}
	x.finished = true
	code := x.code
	if x.abort {
		code = "Aborted"
	}
	x.unfinished = x.edge.finish(obs.WithRequest(context.Background(), &x.request), status, code)
	x.silent = x.unfinished != nil
	return !x.silent
}

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	switch {
	case x.routing:
		x.routedStatus = status
		return
	case status >= http.StatusOK && !x.finish(status):
		return
	case x.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols):
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(b []byte) (int, error) {
	if x.routing || !x.finish(http.StatusOK) {
		return len(b), nil
	}
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }
