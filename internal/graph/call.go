package graph

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/store"
)

// call is one request under way.
type call struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	family *names.Hosts
	caller model.Caller
	view   *store.View // shows every finished write
	op     *operation
	path   path
	query  url.Values
}

// serve finds the operation, asks the gate, and runs it. A refused caller does not
// learn whether an object exists.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	c := &call{s: s, w: w, r: r, caller: httpx.Caller(r), query: r.URL.Query()}
	c.family, _ = httpx.Target(r)
	var err error
	if err = c.route(); err != nil {
		return err
	}
	if c.view, err = s.store.Fresh(r.Context()); err != nil {
		return err
	}
	if c.op.action != "" {
		if err := s.gate.Check(r.Context(), c.view, c.caller, c.op.action, c.scope()); err != nil {
			return err
		}
	}
	return c.persist()
}

// persist runs the operation, and runs it again on a newer view when another writer
// was first: requests here have no conditions, so none can lose.
func (c *call) persist() error {
	err := c.s.store.Retry(c.r.Context(), c.view, func(view *store.View) error {
		c.view = view
		return c.op.do(c)
	})
	if errors.Is(err, store.ErrConflict) {
		return fail(concurrency, "The object was changed by too many requests at the same time. Repeat the request.")
	}
	return err
}

// route finds the row of the table, and checks the first key: it is a GUID but for
// users and unique names.
func (c *call) route() (err error) {
	var ok bool
	if c.path, ok = parsePath(c.r.URL.EscapedPath()); !ok {
		return fail(badRequest, "Resource not found for the segment '%.100s'.", c.r.URL.Path)
	}
	row := c.s.table[c.path.shape]
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if c.op = row[method]; c.op == nil {
		if row == nil {
			return fail(badRequest, "Resource not found for the segment '%.100s'.", c.path.shape)
		}
		allow := strings.Join(slices.Sorted(maps.Keys(row)), ", ")
		c.w.Header().Set("Allow", allow)
		return fail(methodNotAllowed, "Specified HTTP method is not allowed for the request target; it takes %s.", allow)
	}
	httpx.SetOp(c.r, c.op.op)
	if len(c.path.keys) > 0 && !strings.HasPrefix(c.path.shape, "users") {
		if k := c.path.keys[0]; k.by != byUniqueName && !model.ValidUUID(k.value) {
			return fail(badRequest, "Invalid object identifier '%.100s'.", k.value)
		}
	}
	return nil
}

// scope is the gate's scope: the object that the path's key names, below the root. A
// caller who may read service principals at one place may read all, so for them it is
// such a place.
func (c *call) scope() string {
	scope := "/" + c.path.shape
	for _, k := range c.path.keys {
		scope = strings.Replace(scope, "*", strings.ToLower(k.value), 1)
	}
	if c.op.action != actionReadPrincipals || c.s.gate.Allowed(c.view, c.caller, c.op.action, scope) {
		return scope
	}
	for e := range c.view.Lookup(model.RoleIndex(c.caller.ObjectID)) {
		a, ok := e.Value.(*model.RoleAssignment)
		if ok && c.s.gate.Allowed(c.view, c.caller, c.op.action, a.Scope) {
			return a.Scope
		}
	}
	return scope
}

// application finds the one that the path is about: by its own id or client id
// below applications, by its principal's id or client id below servicePrincipals.
func (c *call) application() (*model.Application, int64, error) {
	k := c.path.keys[0]
	principals := strings.HasPrefix(c.path.shape, "serviceprincipals")
	var e *store.Entry
	switch {
	case principals && k.by == byAppID:
		e = c.view.First(model.ClientIndex(k.value))
	case k.by == byAppID:
		e = c.view.Get(model.ApplicationKey(k.value))
	case k.by == byUniqueName:
		e = c.view.First(model.UniqueNameIndex(k.value))
	case principals:
		e = c.view.First(model.PrincipalIndex(k.value))
	default:
		e = c.view.First(model.ApplicationIndex(k.value))
	}
	if e == nil {
		return nil, 0, notFoundError(k.value)
	}
	switch o := e.Value.(type) {
	case *model.Application:
		return o, e.Rev, nil
	case *model.Identity:
		return nil, 0, fail(badRequest, "The service principal of a managed identity cannot be changed here. Change or delete the identity, %s.", o.ID)
	}
	return nil, 0, notFoundError(k.value)
}

// save writes a changed application back, if nobody else was faster.
func (c *call) save(a *model.Application, rev int64) error {
	_, err := c.s.store.Put(c.r.Context(), a, rev)
	return err
}

// creates tells whether a PATCH is to make a missing object.
// https://learn.microsoft.com/graph/api/application-upsert
func (c *call) creates() bool {
	for _, header := range c.r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(header, ",") {
			name, _, _ := strings.Cut(preference, ";")
			if strings.EqualFold(strings.TrimSpace(name), "create-if-missing") {
				return true
			}
		}
	}
	return false
}

// read decodes the body into dst. An action may come without one.
func (c *call) read(dst any, optional bool) error {
	if optional && c.r.ContentLength == 0 {
		return nil
	}
	return httpx.ReadJSON(c.r, dst)
}

func (c *call) reply(status int, body any) error { return httpx.WriteJSON(c.w, status, body) }

func (c *call) done() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// context is an answer's @odata.context.
func (c *call) context(of string) string { return c.family.GraphURL() + "/v1.0/$metadata#" + of }
