package arm

import (
	"maps"
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
)

const tagsType = "Microsoft.Resources/tags"

// tagsRow is the tags of a group or a resource as a resource of their own.
// https://learn.microsoft.com/rest/api/resources/tags
func tagsRow() *row {
	return &row{
		name: "tags", typ: tagsType, versions: []string{"2025-04-01", "2024-11-01", "2021-04-01", "2019-10-01"},
		in: inGroup | inResource,
		verbs: map[string]verb{
			"GET": {do: (*call).getTags}, "PUT": {do: (*call).putTags}, "PATCH": {do: (*call).patchTags}, "DELETE": {do: (*call).deleteTags},
		},
	}
}

type tagsInput struct {
	Operation  string `json:"operation"` // of a PATCH
	Properties struct {
		Tags tagSet `json:"tags"`
	} `json:"properties"`
}

// tags gives the row of the resource whose tags the call names, and the tags.
func (c *call) tags() (*row, map[string]string, error) {
	r := c.s.table[c.op.scope.TypeKey()]
	if !strings.EqualFold(c.id.Name(), "default") || r == nil || !r.tracked || c.holder == nil || c.holder.Key != c.op.scope.Key() {
		return nil, nil, c.notFound(c.id)
	}
	of, ok := c.holder.Value.(interface{ Common() *model.Resource })
	if !ok {
		return nil, nil, c.notFound(c.id)
	}
	return r, of.Common().Tags, nil
}

func (c *call) getTags() error {
	_, tags, err := c.tags()
	if err != nil {
		return err
	}
	return c.replyTags(tags)
}

func (c *call) replyTags(tags map[string]string) error {
	if tags == nil {
		tags = map[string]string{}
	}
	return httpx.WriteJSON(c.w, http.StatusOK, &resource{
		ID: c.spell(c.op.scope) + "/providers/" + tagsType + "/default", Name: "default", Type: tagsType,
		Properties: map[string]any{"tags": tags},
	})
}

func (c *call) putTags() error {
	return c.changeTags(func(_ map[string]string, in *tagsInput) (tagSet, error) {
		if in.Properties.Tags == nil {
			return nil, fail(badRequest, "The property 'properties.tags' is required.")
		}
		return in.Properties.Tags, nil
	})
}

// patchTags merges with the tags that are there, replaces all, or deletes those
// that are named; one that is named with a value, only if it has that value.
func (c *call) patchTags() error {
	return c.changeTags(func(have map[string]string, in *tagsInput) (tagSet, error) {
		named := in.Properties.Tags
		keep := func(name, value string) bool { return value == "" || have[name] == value }
		next := tagSet{}
		switch strings.ToLower(in.Operation) {
		case "replace":
			maps.Copy(next, named)
		case "merge":
			maps.Copy(next, have)
			remove(next, named, func(string, string) bool { return true })
			maps.Copy(next, named)
		case "delete":
			maps.Copy(next, have)
			remove(next, named, keep)
		default:
			return nil, fail(badRequest, "The property 'operation' must be 'Merge', 'Replace' or 'Delete'.")
		}
		return next, nil
	})
}

// remove takes away the tags that are named, in any letter case.
func remove(from tagSet, named tagSet, also func(name, value string) bool) {
	for n, value := range named {
		for name := range from {
			if strings.EqualFold(name, n) && also(name, value) {
				delete(from, name)
			}
		}
	}
}

func (c *call) changeTags(change func(have map[string]string, in *tagsInput) (tagSet, error)) error {
	r, have, err := c.tags()
	if err != nil {
		return err
	}
	var in tagsInput
	if err := httpx.ReadJSON(c.r, &in); err != nil {
		return err
	}
	next, err := change(have, &in)
	if err != nil {
		return err
	}
	return c.writeTags(r, next)
}

func (c *call) deleteTags() error {
	r, _, err := c.tags()
	if err != nil {
		return err
	}
	return c.writeTags(r, tagSet{})
}

// writeTags writes them as a PATCH of their resource would.
func (c *call) writeTags(r *row, tags tagSet) error {
	on := *c
	on.row, on.id = r, c.op.scope
	in := &input{patch: true, Tags: tags, old: c.holder.Value}
	if err := on.fillCommon(in); err != nil {
		return err
	}
	ch, err := r.put(&on, in)
	if err != nil {
		return err
	}
	if _, err := on.commit(ch, c.holder); err != nil {
		return err
	}
	if ch.after != nil {
		ch.after()
	}
	if c.r.Method == http.MethodDelete {
		c.w.WriteHeader(http.StatusOK)
		return nil
	}
	return c.replyTags(tags)
}
