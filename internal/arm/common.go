package arm

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Limits on tags.
// https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations
const (
	maxTags     = 50
	maxTagName  = 512
	maxTagValue = 256
)

// fillCommon makes the members of every resource: the old one's, changed by the body.
// The id is spelled as the first PUT spelled its names.
func (c *call) fillCommon(in *input) error {
	at, by, kind := c.s.now().UTC(), c.caller.ObjectID, callerKind(&c.caller)
	if old, ok := in.old.(interface{ Common() *model.Resource }); ok {
		in.common = *old.Common()
	} else {
		in.common = model.Resource{ID: c.spell(c.id), Name: c.id.Name()}
		in.common.System.CreatedAt, in.common.System.CreatedBy, in.common.System.CreatedByType = at, by, kind
	}
	in.common.System.ModifiedAt, in.common.System.ModifiedBy, in.common.System.ModifiedByType = at, by, kind
	if !c.row.tracked {
		return nil
	}
	if err := c.fillLocation(in); err != nil {
		return err
	}
	if in.Tags != nil || !in.patch {
		if err := checkTags(in.Tags); err != nil {
			return err
		}
		in.common.Tags = in.Tags
	}
	return nil
}

func callerKind(c *model.Caller) string {
	switch {
	case c.IdentityID != "":
		return "ManagedIdentity"
	case c.Type == "user":
		return "User"
	}
	return "Application"
}

func (c *call) fillLocation(in *input) error {
	location := ""
	if in.Location != nil {
		location = normalLocation(*in.Location)
	}
	switch {
	case location == "" && in.old == nil:
		return fail(locationRequired, "The location property is required for this definition.")
	case location != "" && !validLocation(location):
		return fail(invalidRequestContent, "The location is invalid: it must be up to 64 letters and digits.")
	case in.old == nil:
		in.common.Location = location
	case location != "" && location != in.common.Location:
		if c.id.Equal(c.id.GroupID()) {
			return fail(invalidGroupLocation, "Invalid resource group location '%s'. The Resource group already exists in location '%s'.",
				location, in.common.Location)
		}
		return fail(invalidLocation, "The resource '%s' already exists in location '%s'. A resource with the same name cannot be created in location '%s'.",
			c.id.Name(), in.common.Location, location)
	}
	return nil
}

// normalLocation makes "eastus" of "East US".
func normalLocation(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }

func validLocation(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// tagSet is tags as clients send them: az and Resource Manager take a number or a
// boolean for its text.
type tagSet map[string]string

// UnmarshalJSON implements json.Unmarshaler.
func (t *tagSet) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return fail(invalidRequestContent, "The request content was invalid and could not be deserialized: \"tags\" must be an object.")
	}
	if raw == nil {
		*t = nil
		return nil
	}
	*t = make(tagSet, len(raw))
	for name, value := range raw {
		switch text := string(value); value[0] {
		case '{', '[':
			return fail(invalidRequestContent, "The request content was invalid and could not be deserialized: the value of a tag must be a text.")
		case '"':
			if err := json.Unmarshal(value, &text); err != nil {
				return err
			}
			(*t)[name] = text
		case 'n': // null
			(*t)[name] = ""
		default:
			(*t)[name] = text
		}
	}
	return nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return fail(tooManyTags, "The resource has %d tags, at most %d are allowed.", len(tags), maxTags)
	}
	seen := map[string]bool{}
	for name, value := range tags {
		switch lower := strings.ToLower(name); {
		case name == "" || len(name) > maxTagName || strings.ContainsAny(name, `<>%&\?/`):
			return fail(invalidTag, "A tag's name must have 1 to %d characters and none of <>%%&\\?/.", maxTagName)
		case len(value) > maxTagValue:
			return fail(invalidTag, "The value of tag '%s' is longer than %d characters.", name, maxTagValue)
		case seen[lower]:
			return fail(invalidTag, "The tag '%s' is there twice, in different letter case.", name)
		default:
			seen[lower] = true
		}
	}
	return nil
}

// spell writes a new resource's id the way its provider does: the types as the
// table has them, the group as it was first named, the names as asked.
func (c *call) spell(id resid.ID) string {
	if id.IsRoot() {
		return ""
	}
	if id.Equal(id.GroupID()) {
		segment := "resourceGroups"
		if c.row.lowerGroup {
			segment = "resourcegroups"
		}
		name := id.Name()
		if g, _, ok := store.Get[*model.ResourceGroup](c.view, id.Key()); ok {
			name = g.Name
		}
		return c.s.sub + "/" + segment + "/" + name
	}
	if id.TypeKey() == "microsoft.resources/subscriptions" {
		return c.s.sub
	}
	if e := c.view.Get(id.Key()); e != nil {
		if of, ok := e.Value.(interface{ Common() *model.Resource }); ok {
			return of.Common().ID
		}
	}
	scope, typ := id.Scope(), id.Type()
	if r := c.s.table[id.TypeKey()]; r != nil {
		typ = r.typ
	}
	types := strings.Split(typ, "/")
	var b strings.Builder
	b.WriteString(c.spell(scope))
	b.WriteString("/providers/" + types[0])
	for i, name := range id.Names() {
		b.WriteString("/" + types[i+1] + "/" + name)
	}
	return b.String()
}

// decode reads one member of a body, which is JSON already.
func decode(raw json.RawMessage, member string, dst any) error {
	if len(raw) == 0 {
		return nil
	}
	err := json.Unmarshal(raw, dst)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		path := member
		if e.Field != "" {
			path += "." + e.Field
		}
		return fail(invalidRequestContent, "The request content was invalid and could not be deserialized: %s has the wrong type.", strconv.Quote(path))
	}
	return fail(invalidRequestContent, "The request content was invalid and could not be deserialized: %s.", strconv.Quote(member))
}

// maxOps is how many writes one commit takes.
const maxOps = 100

// commitAll makes the writes in order, as few commits as possible. The first
// ones matter most: nobody can reach the objects that a crash leaves after them.
func (s *Server) commitAll(ctx context.Context, ops []store.Op) error {
	for len(ops) > 0 {
		n := min(len(ops), maxOps)
		if _, err := s.store.Commit(ctx, ops[:n]...); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}
