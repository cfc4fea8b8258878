package arm

import (
	"bytes"
	"encoding/base64"
	"iter"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
	"github.com/lanyard-io/lanyard/internal/store"
)

// maxPage is the most that one answer lists, and the default of $top.
const maxPage = 1000

// page is the part of a list that a request wants.
type page struct {
	top   int
	after string // the key of the last item of the page before
}

func (c *call) page() (page, error) {
	p := page{top: maxPage}
	if s := parameter(c.query, "$top"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return p, fail(invalidQuery, "The value of $top must be a number of 1 or more.")
		}
		p.top = min(n, maxPage)
	}
	after, err := readToken(parameter(c.query, "$skiptoken"))
	p.after = after
	return p, err
}

// skipToken makes the opaque $skiptoken that continues after a key.
func skipToken(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

// readToken reads a $skiptoken. It is only a place to go on from: the caller's
// permissions are checked again there.
func readToken(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) > 2*resid.MaxLen || !utf8.Valid(b) || !bytes.HasPrefix(b, []byte("/")) {
		return "", fail(invalidQuery, "The $skiptoken is invalid. Use the nextLink of the page before as it is.")
	}
	return string(b), nil
}

// listBody is the answer to any list.
type listBody struct {
	Value    []any  `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

// list answers GET of a collection of any stored type: in its parent, in a
// resource group or, group by group, in the subscription.
func (c *call) list() error {
	return c.listAll([]*row{c.row}, nil, func(r *row, e *store.Entry) any { return c.show(r, e) })
}

// listAll answers with one page of the resources of some types below the call's scope
// that keep accepts. A caller who may not read all of them sees some.
func (c *call) listAll(rows []*row, keep func(*row, *store.Entry) bool, show func(*row, *store.Entry) any) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	scope := c.op.scope
	all := c.s.gate.Allowed(c.view, c.caller, c.op.action, scope.String())
	if all {
		if err := c.s.gate.Check(c.r.Context(), c.view, c.caller, c.op.action, scope.String()); err != nil {
			return err
		}
	}

	body, last := listBody{Value: []any{}}, ""
	for r, e := range c.walk(rows, p.after) {
		if keep != nil && !keep(r, e) || !all && !c.s.gate.Allowed(c.view, c.caller, r.typ+"/read", e.Key) {
			continue
		}
		if len(body.Value) == p.top {
			body.NextLink = c.nextLink(last)
			break
		}
		if !all {
			if err := c.s.gate.Check(c.r.Context(), c.view, c.caller, r.typ+"/read", e.Key); err != nil {
				return err
			}
		}
		body.Value, last = append(body.Value, show(r, e)), e.Key
	}

	if !all && len(body.Value) == 0 && !c.row.filtered {
		if err := c.s.gate.Check(c.r.Context(), c.view, c.caller, c.op.action, scope.String()); err != nil {
			return err
		}
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

// nextLink is the same request, continued after a key.
func (c *call) nextLink(after string) string {
	q := maps.Clone(c.query)
	for k := range q {
		if strings.EqualFold(k, "$skiptoken") || strings.EqualFold(k, "api-version") {
			delete(q, k)
		}
	}
	q.Set("$skiptoken", skipToken(after))
	return c.url(c.r.URL.Path, q)
}

// walk goes through the stored resources of some types below the call's scope,
// in the order of groups, then of rows, then of names.
func (c *call) walk(rows []*row, after string) iter.Seq2[*row, *store.Entry] {
	if placeOf(c.op.scope) != inSubscription || c.row.in&inGroup == 0 {
		return walkBelow(c.view, rows, c.op.scope.Key(), after)
	}
	return func(yield func(*row, *store.Entry) bool) {
		from := ""
		if id, err := resid.Parse(orRoot(after)); err == nil {
			from = id.GroupID().Key()
		}
		for g := range below(c.view, groupsKey(c.op.scope.Key()), "") {
			if g.Key < from {
				continue
			}
			start := ""
			if g.Key == from {
				start = after
			}
			for r, e := range walkBelow(c.view, rows, g.Key, start) {
				if !yield(r, e) {
					return
				}
			}
		}
	}
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// groupsKey is the prefix of a subscription's resource groups.
func groupsKey(subscription string) string { return subscription + "/resourcegroups/" }

// walkBelow goes through the resources of some types that hang directly on a scope.
func walkBelow(v *store.View, rows []*row, scope, after string) iter.Seq2[*row, *store.Entry] {
	return func(yield func(*row, *store.Entry) bool) {
		for _, r := range rows {
			prefix := r.prefix(scope)
			if after != "" && !strings.HasPrefix(after, prefix) {
				continue // a page before this one had it
			}
			start := after
			after = ""
			for e := range below(v, prefix, start) {
				if !yield(r, e) {
					return
				}
			}
		}
	}
}

// prefix is the prefix of this type's keys on a scope; a child type's scope is its
// parent.
func (r *row) prefix(scope string) string {
	parts := strings.Split(strings.ToLower(r.typ), "/")
	switch {
	case parts[0] == "microsoft.resources":
		return scope + "/" + parts[len(parts)-1] + "/"
	case len(parts) > 2:
		return scope + "/" + parts[len(parts)-1] + "/"
	}
	if scope == "/" {
		scope = ""
	}
	return scope + "/providers/" + parts[0] + "/" + parts[1] + "/"
}

// below walks the objects directly below a prefix, and jumps over their children: a
// list of identities does not touch their credentials.
func below(v *store.View, prefix, after string) iter.Seq[*store.Entry] {
	return func(yield func(*store.Entry) bool) {
		for {
			child := ""
			for e := range v.Prefix(prefix, after) {
				name := e.Key[len(prefix):]
				if i := strings.IndexByte(name, '/'); i >= 0 {
					child = prefix + name[:i]
					break
				}
				if !yield(e) {
					return
				}
			}
			if child == "" {
				return
			}
			after = child + "/\xff" // past all that hangs on it
		}
	}
}

// entriesOf collects the objects of one kind that a resource or scope holds.
func entriesOf[T model.Object](v *store.View, prefix string) []T {
	var out []T
	for e := range v.Prefix(prefix, "") {
		if o, ok := e.Value.(T); ok {
			out = append(out, o)
		}
	}
	return out
}
