package arm

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
)

// tagNamesRow is the tags that are in use in the subscription. A tag needs no
// making before it is used.
func tagNamesRow() *row {
	return &row{
		name: "tagname", typ: "Microsoft.Resources/subscriptions/tagNames", versions: resourceVersions, in: inSubscription,
		verbs: map[string]verb{"LIST": {do: (*call).listTagNames}},
	}
}

type tagCount struct {
	Type  string `json:"type"`
	Value int    `json:"value"`
}

// tagName is https://learn.microsoft.com/rest/api/resources/tags/list.
type tagName struct {
	ID     string      `json:"id"`
	Name   string      `json:"tagName"`
	Count  tagCount    `json:"count"`
	Values []*tagValue `json:"values"`

	by map[string]*tagValue
}

type tagValue struct {
	ID    string   `json:"id"`
	Value string   `json:"tagValue"`
	Count tagCount `json:"count"`
}

func (c *call) listTagNames() error {
	names := map[string]*tagName{} // by lower-case name
	for e := range c.view.Prefix(groupsKey(c.s.sub), "") {
		of, ok := e.Value.(interface{ Common() *model.Resource })
		if r := c.s.rowOfKey(e.Key); !ok || r == nil || !r.tracked {
			continue
		}
		for name, value := range of.Common().Tags {
			n := names[strings.ToLower(name)]
			if n == nil {
				n = &tagName{ID: c.s.sub + "/tagNames/" + name, Name: name, Count: tagCount{Type: "Total"}, by: map[string]*tagValue{}}
				names[strings.ToLower(name)] = n
			}
			n.add(value)
		}
	}
	body := listBody{Value: []any{}}
	for _, key := range slices.Sorted(maps.Keys(names)) {
		n := names[key]
		slices.SortFunc(n.Values, func(a, b *tagValue) int { return cmp.Compare(a.Value, b.Value) })
		body.Value = append(body.Value, n)
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

func (n *tagName) add(value string) {
	v := n.by[value]
	if v == nil {
		v = &tagValue{ID: n.ID + "/tagValues/" + value, Value: value, Count: tagCount{Type: "Total"}}
		n.by[value], n.Values = v, append(n.Values, v)
	}
	n.Count.Value++
	v.Count.Value++
}
