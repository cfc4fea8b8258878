package vault

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/store"
)

type handler = func(w http.ResponseWriter, r *http.Request) error

// call is one request under way. The view and the vault are set once the gate has
// let the caller through.
type call struct {
	s      *Server
	r      *http.Request
	op     *operation
	kind   *kind
	family *names.Hosts
	query  url.Values
	items.Ref
	body any  // what the operation's read has made of the body
	page page // of a listing

	view  *store.View // shows every finished write
	vault *model.Vault
}

// answer is what an operation gives; without a body, only the status.
type answer struct {
	status int
	body   any
}

func ok(body any) answer { return answer{http.StatusOK, body} }

// handle does what every operation has in common, in this order: the URL, the body,
// the gate, the act, the answer. A caller who may not learns nothing about what
// exists.
func (s *Server) handle(o *operation) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c := &call{s: s, r: r, op: o, kind: o.kind}
		if err := c.parse(); err != nil {
			return err
		}
		if o.class.bodyNames {
			if err := c.enter(); err != nil {
				return err
			}
		}
		if o.read != nil {
			if err := o.read(c); err != nil {
				return err
			}
		}
		if err := c.enter(); err != nil {
			return err
		}
		a, err := o.do(c)
		switch {
		case err != nil:
			return c.worded(err)
		case a.body == nil:
			w.WriteHeader(a.status)
			return nil
		}
		return httpx.WriteJSON(w, a.status, a.body)
	}
}

// parse reads the URL: the api-version first, then the names in the path.
func (c *call) parse() error {
	c.Kind, c.Name, c.Version = c.kind.of, c.r.PathValue("name"), strings.ToLower(c.r.PathValue("version"))
	c.family, c.Vault = httpx.Target(c.r)
	c.query = c.r.URL.Query() // some clients percent-encode the keys, so only the parsed query counts
	for _, name := range [...]string{"api-version", "maxresults", "$skiptoken"} {
		if len(c.query[name]) > 1 {
			return fail(badParameter, "The parameter %s is given more than once.", name)
		}
	}
	switch api := c.query.Get("api-version"); {
	case api == "":
		return fail(badParameter, "api-version must be specified")
	case !knownVersion(api):
		return fail(badParameter, "The specified version (%.40q) is not recognized. Use 7.6, or a version such as 2025-07-01.", api)
	}
	if c.Name != "" && !model.ValidItemName(c.Name) {
		return fail(badParameter, "The request URI contains an invalid name: %s", apierr.Shown(c.Name, maxShown))
	}
	if c.Version != "" && !validID(c.Version) {
		return fail(badParameter, "The request URI contains an invalid version: %s", apierr.Shown(c.Version, maxShown))
	}
	return nil
}

// maxShown is how many bytes of a name that is none an answer repeats.
const maxShown = 200

// knownVersion accepts every api-version that Key Vault has had, and those that are
// to come: the operations keep their meaning.
func knownVersion(v string) bool {
	base, preview, ok := strings.Cut(v, "-preview")
	if ok && preview != "" && (len(preview) > 4 || preview[0] != '.' || !digits(preview[1:])) {
		return false
	}
	if minor, ok := strings.CutPrefix(base, "7."); ok {
		return len(minor) == 1 && minor >= "0" && minor <= "6"
	}
	_, err := time.Parse(time.DateOnly, base)
	return err == nil && base >= "2016-10-01"
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// validID says whether s is a version's id: 32 lower-case hex digits.
func validID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// enter finds the vault, and asks the gate. It is the only one that does.
func (c *call) enter() error {
	view, err := c.s.store.Fresh(c.r.Context())
	if err != nil {
		return err
	}
	e := view.First(model.VaultIndex(c.Vault))
	if e == nil {
		return noVault(c.Vault)
	}
	vault, ok := e.Value.(*model.Vault)
	if !ok || vault.Deleted != nil {
		return noVault(c.Vault)
	}
	a := access.VaultAction{
		Action: c.op.action, Kind: c.Kind, Permission: c.op.permission, Path: c.path(), Reads: c.op.class.reads,
	}
	if err := c.s.gate.CheckVault(c.r.Context(), view, httpx.Caller(c.r), vault, a); err != nil {
		return denied(c.r.Context(), err, vault, &a)
	}
	c.view, c.vault = view, vault
	return nil
}

// path is how the gate and its records name what the request is about.
func (c *call) path() string {
	switch {
	case c.Name == "":
		return string(c.Kind)
	case c.Version == "":
		return string(c.Kind) + "/" + c.Name
	}
	return string(c.Kind) + "/" + c.Name + "/" + c.Version
}

// id is how messages name it.
func (c *call) id() string {
	if c.Version == "" {
		return c.Name
	}
	return c.Name + "/" + c.Version
}

// worded puts the errors of package items into Key Vault's words; others pass.
func (c *call) worded(err error) error {
	if taken, ok := errors.AsType[*items.TakenError](err); ok {
		return nameTaken(taken.Item)
	}
	switch {
	case errors.Is(err, items.ErrNoVault):
		return noVault(c.vault.Name)
	case errors.Is(err, items.ErrMissing):
		return c.missing()
	}
	return err
}

// routes are the table's rows by path, with the other ways that lead to them. SDKs
// ask for the current version with a trailing slash, and ServeMux must not redirect it.
func (s *Server) routes() []httpx.Route {
	var routes []httpx.Route
	byVerb := s.byVerb()
	for i := range s.table {
		o := &s.table[i]
		route := s.route(o)
		for _, p := range o.patterns() {
			r := route
			r.Pattern = o.method + " " + p
			if v := byVerb[o.kind][path.Dir(p)+"/{name}"]; v != nil && o.method == http.MethodPost {
				r.Handle = v.or(r.Handle) // an item may have the operation's name
			}
			routes = append(routes, r)
		}
	}
	for _, t := range tunnels() {
		for p, v := range byVerb[t.kind] {
			routes = append(routes, httpx.Route{
				Pattern: "POST " + p, Op: t.op, Auth: true, MaxBody: maxWrite, Timeout: writeTime, Handle: v.or(noVerb),
			})
		}
	}
	for _, a := range fixedAnswers() {
		for _, p := range a.patterns {
			routes = append(routes, httpx.Route{
				Pattern: p, Op: a.op, Auth: true, MaxBody: httpx.NoBody, Timeout: readTime, Handle: a.answer,
			})
		}
	}
	return routes
}

// byVerb is the rows whose method some clients cannot send, by kind and path.
func (s *Server) byVerb() map[*kind]map[string]verbs {
	all := map[*kind]map[string]verbs{}
	for i := range s.table {
		o := &s.table[i]
		if o.method == http.MethodGet || o.method == http.MethodPost {
			continue
		}
		if all[o.kind] == nil {
			all[o.kind] = map[string]verbs{}
		}
		for _, p := range o.patterns() {
			if all[o.kind][p] == nil {
				all[o.kind][p] = verbs{}
			}
			all[o.kind][p][o.method] = s.route(o)
		}
	}
	return all
}

// patterns are the operation's paths as ServeMux has them.
func (o *operation) patterns() (all []string) {
	for p := range strings.FieldsSeq(o.paths) {
		if bare, ok := strings.CutSuffix(p, "/"); ok {
			all = append(all, bare, p+"{$}")
		} else {
			all = append(all, p)
		}
	}
	return all
}

func (s *Server) route(o *operation) httpx.Route {
	return httpx.Route{
		Op: o.op, Auth: true, MaxBody: o.class.body, Timeout: o.class.time, MaxInFlight: o.class.inFlight, Handle: s.handle(o),
	}
}

// verbs are the operations of one path by HTTP method. Clients that can send no other
// than POST name the method in a header.
// https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
type verbs map[string]httpx.Route

// or runs the operation that the header names; without a header, h.
func (v verbs) or(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		verb := r.Header.Get("X-HTTP-Method")
		if verb == "" {
			verb = r.Header.Get("X-HTTP-REQUEST")
		}
		if verb == "" {
			return h(w, r)
		}
		route, ok := v[strings.ToUpper(verb)]
		if !ok {
			return fail(methodNotAllowed, "The method in the X-HTTP-Method header is not allowed on this path.")
		}
		if r.PathValue("name") == "" {
			r.SetPathValue("name", path.Base(r.URL.Path)) // an item may be named "restore"
		}
		httpx.SetOp(r, route.Op)
		return route.Handle(w, r)
	}
}

func noVerb(http.ResponseWriter, *http.Request) error {
	return fail(methodNotAllowed, "The request method is not allowed on this path. Name another one in the X-HTTP-Method header.")
}
