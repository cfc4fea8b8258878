package arm

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/resid"
	"github.com/lanyard-io/lanyard/internal/store"
)

// call is one request, after the front has done what every type needs.
type call struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	row     *row
	op      operation
	id      resid.ID // as asked
	query   url.Values
	version string // api-version
	view    *store.View
	caller  model.Caller
	family  *names.Hosts // the name family that was asked: answers stay in it
	// holder is the resource's parent, scope or resource group; nil at
	// subscription level and above.
	holder *store.Entry
	in     *input // the body of a PUT or PATCH, once input has read it
	inErr  error
	// unsettled says that a cluster is still at work, whatever its state says: the
	// client is to ask again.
	unsettled bool
}

// serve is every route's handler: version, path, type, subscription, permission,
// holder; then the type's own part. It checks the caller's permission before it
// says whether a thing exists.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	c := &call{s: s, w: w, r: r, caller: httpx.Caller(r)}
	c.family, _ = httpx.Target(r)
	if err := c.parse(); err != nil {
		return err
	}

	view, err := s.store.Fresh(r.Context())
	if err != nil {
		return err
	}
	c.view = view

	if err := c.authorize(); err != nil {
		return err
	}

	if err := c.findHolder(); err != nil {
		return err
	}
	return c.persist()
}

// persist runs the type's own part, and runs it again on a newer view when another
// writer was first. The request's conditions are judged again each time, so only a
// client that sent one can lose a race.
func (c *call) persist() error {
	anew := false
	err := c.s.store.Retry(c.r.Context(), c.view, func(view *store.View) error {
		if anew {
			c.view, c.holder = view, nil
			if err := c.findHolder(); err != nil {
				return err
			}
		}
		anew = true
		return c.op.do(c)
	})
	if errors.Is(err, store.ErrConflict) {
		return fail(conflict, "Too many requests change '%s', or what it belongs to, at the same time. Repeat the request.", c.id)
	}
	return err
}

func (c *call) authorize() error {
	switch {
	case c.op.check != nil:
		return c.op.check(c)
	case c.op.open:
		return nil
	}
	return c.s.gate.Check(c.r.Context(), c.view, c.caller, c.op.action, c.op.scope.String())
}

func (c *call) parse() error {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return fail(invalidRequestURI, "The query string has a broken percent-encoding.")
	}
	c.query = query
	c.version = parameter(query, "api-version")
	if err := checkVersion(c.version); err != nil {
		return err
	}

	if c.id, err = resid.ParseEscaped(c.r.URL.EscapedPath()); err != nil {
		return fail(invalidRequestURI, "The request's path is invalid: %s.", err)
	}
	if c.row, c.op, err = c.s.find(c.r.Method, c.id); err != nil {
		return c.s.aboutMachines(c.r.Method, c.id, err)
	}
	httpx.SetOp(c.r, c.op.op)
	if c.version < c.row.oldest() {
		return fail(noRegisteredProvider, "No registered resource provider found for API version '%s' for type '%s'. "+
			"The supported api-versions are '%s' and later.", c.version, c.row.typ, c.row.oldest())
	}

	sub := c.id.Subscription()
	switch {
	case sub != "" && !model.ValidUUID(sub):
		return fail(invalidSubscriptionID, "The provided subscription identifier '%s' is malformed or invalid.", sub)
	case sub != "" && !strings.EqualFold(sub, c.s.subscriptionID):
		return fail(subscriptionNotFound, "The subscription '%s' could not be found.", sub)
	}
	return nil
}

// parameter reads a query parameter whose name may come in any letter case.
func parameter(q url.Values, name string) string {
	if v, ok := q[name]; ok {
		return v[0]
	}
	for k, v := range q {
		if strings.EqualFold(k, name) {
			return v[0]
		}
	}
	return ""
}

// checkVersion wants YYYY-MM-DD, perhaps with a word such as -preview.
func checkVersion(v string) error {
	if v == "" {
		return fail(missingAPIVersion, "The api-version query parameter (?api-version=) is required for all requests.")
	}
	date, suffix, has := v, "", false
	if len(v) > len(time.DateOnly) {
		date = v[:len(time.DateOnly)]
		suffix, has = strings.CutPrefix(v[len(date):], "-")
		if !has || suffix == "" || len(suffix) > 32 || strings.Trim(suffix, "abcdefghijklmnopqrstuvwxyz0123456789.") != "" {
			date = ""
		}
	}
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return fail(invalidAPIVersion, "The api-version is invalid. It must be of the form YYYY-MM-DD, perhaps followed by -preview.")
	}
	return nil
}

// findHolder loads the holder, and refuses when it is missing.
func (c *call) findHolder() error {
	if g := c.id.GroupID(); !g.IsRoot() && !c.id.Equal(g) {
		c.holder = c.view.Get(g.Key())
		if c.holder == nil {
			return groupNotFound(c.id.Group())
		}
	}
	for at := c.id.Parent(); !at.IsRoot(); at = at.Parent() {
		r := c.s.table[at.TypeKey()]
		if r == nil || !r.stored() || at.Equal(at.GroupID()) {
			continue
		}
		e := c.view.Get(at.Key())
		if e == nil && c.r.Method == http.MethodPost && r == c.row {
			return c.notFound(at) // of an action, it is the resource itself
		}
		if e == nil {
			return fail(parentNotFound, "Failed to perform '%s' on resource(s) of type '%s', because the parent resource '%s' could not be found.",
				c.op.action[strings.LastIndexByte(c.op.action, '/')+1:], strings.TrimPrefix(c.row.typ, c.id.Namespace()+"/"), at)
		}
		c.holder = e
		return nil
	}
	return nil
}

// entry is the resource that the call names, or its not-found error.
func (c *call) entry() (*store.Entry, error) {
	if e := c.view.Get(c.id.Key()); e != nil {
		return e, nil
	}
	return nil, c.notFound(c.id)
}

func (c *call) notFound(id resid.ID) error {
	switch {
	case id.Equal(id.GroupID()):
		return groupNotFound(id.Group())
	case c.row.missing != nil:
		return c.row.missing(id.Name())
	case id.Group() == "":
		return fail(resourceNotFound, "The Resource '%s/%s' was not found.", c.row.typ, strings.Join(id.Names(), "/"))
	}
	return fail(resourceNotFound, "The Resource '%s/%s' under resource group '%s' was not found. "+
		"For more details please go to https://aka.ms/ARMResourceNotFoundFix", c.row.typ, strings.Join(id.Names(), "/"), id.Group())
}

func groupNotFound(name string) error {
	return fail(resourceGroupNotFound, "Resource group '%s' could not be found.", name)
}

// url is an absolute URL of this surface, with the call's api-version.
func (c *call) url(path string, q url.Values) string {
	if q == nil {
		q = url.Values{}
	}
	q.Set("api-version", c.version)
	u := url.URL{Path: path, RawQuery: q.Encode()}
	return c.family.ManagementURL() + u.String()
}
