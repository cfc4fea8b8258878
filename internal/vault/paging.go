package vault

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"github.com/lanyard-io/lanyard/internal/store"
)

// maxPage is the most items of a page, and the default.
const maxPage = 25

// page is a part of a listing. Items are in key order and a page begins after a
// key, so what is added meanwhile never moves an item to another page.
type page struct {
	t      *target
	path   string // of the listing's URL
	prefix string // of the keys
	after  string // the last key of the page before; empty for the first
	max    int
}

// listing is the answer; NextLink is null on the last page.
type listing struct {
	Value    []*bundle `json:"value"`
	NextLink *string   `json:"nextLink"`
}

// parsePage reads maxresults and $skiptoken. valid says what may follow the prefix in a key.
func parsePage(t *target, path, prefix string, valid func(string) bool) (page, error) {
	p := page{t: t, path: path, prefix: prefix, max: maxPage}
	if m := t.query.Get("maxresults"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil || n < 1 || n > maxPage {
			return p, fail(badParameter, "The parameter maxresults must be from 1 to %d.", maxPage)
		}
		p.max = n
	}
	if token := t.query.Get("$skiptoken"); token != "" {
		key, err := base64.RawURLEncoding.Strict().DecodeString(token)
		rest, ok := strings.CutPrefix(string(key), prefix)
		if err != nil || !ok || !valid(rest) {
			return p, fail(badParameter, "The $skiptoken is not one that this vault gave for this list.")
		}
		p.after = string(key)
	}
	return p, nil
}

// collect fills a page with what item makes of the entries; nil leaves one out.
func (p *page) collect(view *store.View, item func(*store.Entry) *bundle) *listing {
	l := &listing{Value: make([]*bundle, 0, p.max)}
	last := ""
	for e := range view.Prefix(p.prefix, p.after) {
		b := item(e)
		if b == nil {
			continue
		}
		if len(l.Value) == p.max {
			next := p.link(last)
			l.NextLink = &next
			return l
		}
		l.Value, last = append(l.Value, b), e.Key
	}
	return l
}

// link is the next page's URL: absolute, with the parameters that this page had.
func (p *page) link(last string) string {
	link := p.t.set.VaultURL(p.t.vault) + p.path +
		"?api-version=" + url.QueryEscape(p.t.query.Get("api-version")) +
		"&$skiptoken=" + base64.RawURLEncoding.EncodeToString([]byte(last))
	if m := p.t.query.Get("maxresults"); m != "" {
		link += "&maxresults=" + strconv.Itoa(p.max)
	}
	return link
}
