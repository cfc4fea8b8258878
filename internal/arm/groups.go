package arm

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
	"github.com/lanyard-io/lanyard/internal/store"
)

// groupRow is resource groups.
func groupRow() *row {
	return &row{
		name: "group", typ: "Microsoft.Resources/subscriptions/resourceGroups", versions: resourceVersions,
		in: inSubscription, filtered: true, tracked: true, patch: true,
		checkName: checkGroupName, put: putGroup, shape: shapeGroup,
		verbs: map[string]verb{
			"GET":    {do: (*call).getGroup},
			"LIST":   {do: (*call).listGroups, open: true},
			"DELETE": {do: (*call).deleteGroup},
		},
	}
}

// checkGroupName is the rule for names of resource groups:
// https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftresources
func checkGroupName(name string) error {
	bad := func(r rune) bool { // resid lets ASCII through only
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.()", r)
	}
	if len(name) > 90 || strings.HasSuffix(name, ".") || strings.ContainsFunc(name, bad) {
		return fail(invalidGroup, "The provided resource group name '%s' is invalid: it may have up to 90 letters, digits, "+
			"'-', '_', '.', '(' and ')', and not end with a period.", name)
	}
	return nil
}

func putGroup(_ *call, in *input) (*change, error) {
	g := &model.ResourceGroup{Resource: in.common}
	if old, ok := in.old.(*model.ResourceGroup); ok {
		g.ManagedBy = old.ManagedBy
	}
	if in.ManagedBy != nil {
		g.ManagedBy = *in.ManagedBy
	}
	if len(g.ManagedBy) > resid.MaxLen {
		return nil, fail(invalidRequestContent, "The property 'managedBy' is longer than %d characters.", resid.MaxLen)
	}
	return &change{object: g}, nil
}

type provisioned struct {
	State string `json:"provisioningState"`
}

func shapeGroup(_ *call, o model.Object, out *resource) {
	if g, ok := o.(*model.ResourceGroup); ok {
		out.ManagedBy = g.ManagedBy
	}
	out.Type = "Microsoft.Resources/resourceGroups" // not the type that its path has
	out.System = nil
	out.Properties = provisioned{"Succeeded"}
}

// getGroup answers HEAD, which asks only whether the group exists, with 204.
func (c *call) getGroup() error {
	if c.r.Method != http.MethodHead {
		return c.get()
	}
	if _, err := c.entry(); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *call) listGroups() error {
	terms, err := c.filter()
	if err != nil {
		return err
	}
	for _, t := range terms {
		if t.call || t.name != "tagname" && t.name != "tagvalue" && t.name != "name" {
			return badFilter("resource groups cannot be filtered by '%s'", t.name)
		}
	}
	keep := func(_ *row, e *store.Entry) bool { return matchesResource(e, terms) }
	return c.listAll([]*row{c.row}, keep, func(r *row, e *store.Entry) any { return c.show(r, e) })
}

// deleteGroup deletes the group with all it holds, then answers 202 with a
// result that is there already.
func (c *call) deleteGroup() error {
	e, err := c.entry()
	if err != nil {
		return err
	}
	if err := c.precondition(e); err != nil {
		return err
	}
	if err := c.s.detachGroup(c.r.Context(), c.view, e); err != nil {
		return err
	}
	if err := c.s.deleteGroup(c.r.Context(), e); err != nil {
		return err
	}
	return c.accepted(c.s.sub + "/operationresults")
}

// deleteGroup empties the group, deletes it, and empties it once more, because a
// resource may have been made in between. A later writer finds the group gone and
// takes its resource back (see confirm). If the deletion fails half way, the group is
// still there, so that the request can be repeated.
func (s *Server) deleteGroup(ctx context.Context, group *store.Entry) error {
	if err := s.empty(ctx, group.Key); err != nil {
		return err
	}
	v, err := s.store.Fresh(ctx)
	if err != nil {
		return err
	}
	if now := v.Get(group.Key); now == nil || now.CreateRev != group.CreateRev {
		return nil // somebody else deleted it
	} else if err := s.store.Delete(ctx, group.Key, now.Rev); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return fail(conflict, "The resource group was changed at the same time. Repeat the request.")
		}
		return err
	}
	return s.empty(ctx, group.Key)
}

// maxSweeps bounds how often empty starts over because others go on writing.
const maxSweeps = 20

// empty deletes all objects below a key, until a look finds none.
func (s *Server) empty(ctx context.Context, key string) error {
	for range maxSweeps {
		v, err := s.store.Fresh(ctx)
		if err != nil {
			return err
		}
		found, err := s.sweep(ctx, v, key)
		if err != nil || !found {
			return err
		}
	}
	return fail(conflict, "Others kept changing what is below '%s'. Repeat the request.", key)
}

// sweep deletes the objects that a view shows below a key, as many resources in one
// commit as fit. A lost race is left to the next sweep.
func (s *Server) sweep(ctx context.Context, v *store.View, key string) (found bool, err error) {
	var ops []store.Op
	flush := func() error {
		err := s.commitAll(ctx, ops)
		ops = ops[:0]
		if errors.Is(err, store.ErrConflict) {
			return nil
		}
		return err
	}
	for e := range v.Prefix(key+"/", "") {
		found = true
		if hangsOnResource(v, e.Key) {
			continue
		}
		more := s.rowOfKey(e.Key).removal(s, v, e)
		if len(ops)+len(more) > maxOps {
			if err := flush(); err != nil {
				return found, err
			}
		}
		ops = append(ops, more...)
	}
	return found, flush()
}

func (s *Server) rowOfKey(key string) *row {
	id, err := resid.Parse(key)
	if err != nil {
		return nil
	}
	return s.table[id.TypeKey()]
}

// hangsOnResource says whether a key lies below another resource, with which it
// goes; the group itself does not count.
func hangsOnResource(v *store.View, key string) bool {
	id, err := resid.Parse(key)
	if err != nil {
		return false
	}
	for at := id.Parent(); !at.IsRoot() && !at.Equal(at.GroupID()); at = at.Parent() {
		if v.Get(at.Key()) != nil {
			return true
		}
	}
	return false
}
