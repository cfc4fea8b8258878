package graph

import (
	"encoding/base64"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Pages as Graph has them: https://learn.microsoft.com/graph/paging
const (
	defaultPage = 100
	maxPage     = 999
)

// collection is a list: its objects, its filters and its answer.
type collection struct {
	name   string // in @odata.context
	fields fields
	// direct finds the only object that can equal a value, by property.
	direct map[string]func(value string) *store.Entry
	// entries walks it in key order, from the first key after a key.
	entries func(after string) iter.Seq[*store.Entry]
	// holds says whether an object that entries comes by belongs to it.
	holds func(model.Object) bool
	show  func(model.Object) any
}

type listBody struct {
	Context  string `json:"@odata.context"`
	NextLink string `json:"@odata.nextLink,omitempty"`
	Value    []any  `json:"value"`
}

// list answers with one page. Items are in key order and a page begins after a key, so
// a new item moves no other to another page.
func (c *call) list(l collection) error {
	terms, err := c.filter(l.fields)
	if err != nil {
		return err
	}
	top, after, err := c.page()
	if err != nil {
		return err
	}
	body, last := listBody{Context: c.context(l.name), Value: []any{}}, ""
	for e := range l.walk(terms, after) {
		if !l.holds(e.Value) || !l.fields.match(e.Value, terms) {
			continue
		}
		if len(body.Value) == top {
			body.NextLink = c.nextLink(last)
			break
		}
		body.Value, last = append(body.Value, l.show(e.Value)), e.Key
	}
	return c.reply(http.StatusOK, body)
}

// walk takes the short way when the filter names one object.
func (l *collection) walk(terms []term, after string) iter.Seq[*store.Entry] {
	for _, t := range terms {
		if find := l.direct[t.field]; find != nil && !t.prefix {
			return func(yield func(*store.Entry) bool) {
				if e := find(t.value); e != nil && e.Key > after {
					yield(e)
				}
			}
		}
	}
	return l.entries(after)
}

// filter reads $filter, and refuses the options that it does not know and that would
// change the list or its order.
func (c *call) filter(f fields) ([]term, error) {
	for _, option := range []string{"$search", "$orderby", "$skip", "$apply", "$compute"} {
		if c.query.Has(option) {
			return nil, fail(unsupportedQuery, "The query option '%s' is not supported.", option)
		}
	}
	terms, err := parseFilter(c.query.Get("$filter"))
	if err != nil {
		return nil, err
	}
	return terms, f.check(terms)
}

func (c *call) page() (top int, after string, err error) {
	top = defaultPage
	if s := c.query.Get("$top"); s != "" {
		if top, err = strconv.Atoi(s); err != nil || top < 1 || top > maxPage {
			return 0, "", fail(badRequest, "Invalid page size specified: '%.20s'. Must be between 1 and %d inclusive.", s, maxPage)
		}
	}
	after, err = readToken(c.query.Get("$skiptoken"))
	return top, after, err
}

const maxToken = 8 << 10

// readToken reads a $skiptoken. It is only a place to go on from: the caller's
// permissions are checked again there.
func readToken(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) > maxToken || !utf8.Valid(b) || !strings.HasPrefix(string(b), "/") {
		return "", fail(badRequest, "The $skiptoken is invalid. Use the @odata.nextLink of the page before as it is.")
	}
	return string(b), nil
}

// nextLink is this request's URL, going on after a key.
func (c *call) nextLink(last string) string {
	c.query.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(last)))
	return c.family.GraphURL() + c.r.URL.EscapedPath() + "?" + c.query.Encode()
}
