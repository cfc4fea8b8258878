package vault

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// maxPage is the most items of a page, and the default.
const maxPage = 25

// page is a part of a listing. Items are in key order and a page begins after a
// key, so what is added meanwhile never moves an item to another page.
type page struct {
	path   string // of the listing's URL
	prefix string // of the keys
	after  string // the last key of the page before; empty for the first
	max    int
}

// listing is the answer; NextLink is null on the last page.
type listing struct {
	Value    []any   `json:"value"`
	NextLink *string `json:"nextLink"`
}

func (c *call) readPage() error {
	return c.parsePage("/"+string(c.Kind), model.ItemsKey(c.Kind, c.Vault), model.ValidItemName)
}

func (c *call) readDeletedPage() error {
	return c.parsePage("/deleted"+string(c.Kind), model.ItemsKey(c.Kind, c.Vault), model.ValidItemName)
}

func (c *call) readVersionsPage() error {
	return c.parsePage("/"+string(c.Kind)+"/"+c.Name+"/versions", model.VersionsKey(c.Kind, c.Vault, c.Name), validID)
}

// parsePage reads maxresults and $skiptoken. valid says what may follow the prefix in a key.
func (c *call) parsePage(path, prefix string, valid func(string) bool) error {
	c.page = page{path: path, prefix: prefix, max: maxPage}
	if m := c.query.Get("maxresults"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil || n < 1 || n > maxPage {
			return fail(badParameter, "The parameter maxresults must be from 1 to %d.", maxPage)
		}
		c.page.max = n
	}
	if token := c.query.Get("$skiptoken"); token != "" {
		key, err := base64.RawURLEncoding.Strict().DecodeString(token)
		rest, ok := strings.CutPrefix(string(key), prefix)
		if err != nil || !ok || !valid(rest) {
			return fail(badParameter, "The $skiptoken is not one that this vault gave for this list.")
		}
		c.page.after = string(key)
	}
	return nil
}

// list names the live items with their current version's attributes.
func (c *call) list() (answer, error) {
	return c.listItems(func(item *model.Item) bool { return item.Deleted == nil })
}

// listDeleted lists the deleted items.
func (c *call) listDeleted() (answer, error) {
	return c.listItems(func(item *model.Item) bool { return item.Deleted != nil })
}

func (c *call) listItems(keep func(*model.Item) bool) (answer, error) {
	return c.collect(func(e *store.Entry) any {
		item, ok := e.Value.(*model.Item)
		if !ok || !keep(item) {
			return nil
		}
		v := currentVersion(c.view, item)
		if v == nil {
			return nil
		}
		return c.kind.show(c, item, v, false)
	})
}

// versions lists an item's versions. Of an item that is not there it lists none: Key
// Vault gives no error either.
func (c *call) versions() (answer, error) {
	item, _ := c.Find(c.view)
	return c.collect(func(e *store.Entry) any {
		v, ok := e.Value.(*model.ItemVersion)
		if !ok || item == nil || item.Deleted != nil {
			return nil
		}
		return c.kind.show(c, item, v, true)
	})
}

// collect fills the page with what show makes of the entries; nil leaves one out.
func (c *call) collect(show func(*store.Entry) any) (answer, error) {
	l := &listing{Value: make([]any, 0, c.page.max)}
	last := ""
	for e := range c.view.Prefix(c.page.prefix, c.page.after) {
		shown := show(e)
		if shown == nil {
			continue
		}
		if len(l.Value) == c.page.max {
			next := c.nextLink(last)
			l.NextLink = &next
			break
		}
		l.Value, last = append(l.Value, shown), e.Key
	}
	return ok(l), nil
}

// nextLink is the next page's URL: absolute, with the parameters that this page had.
func (c *call) nextLink(last string) string {
	link := c.family.VaultURL(c.Vault) + c.page.path +
		"?api-version=" + url.QueryEscape(c.query.Get("api-version")) +
		"&$skiptoken=" + base64.RawURLEncoding.EncodeToString([]byte(last))
	if m := c.query.Get("maxresults"); m != "" {
		link += "&maxresults=" + strconv.Itoa(c.page.max)
	}
	return link
}
