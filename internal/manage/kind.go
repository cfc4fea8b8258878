package manage

import (
	"context"
	"net/url"
	"strings"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// kind is a type of resource in groups, and what people call it.
type kind struct{ noun, typ, version string }

func identityKind() kind { return kind{"identity", identityType, identityVersion} }
func vaultKind() kind    { return kind{"vault", vaultType, vaultVersion} }
func clusterKind() kind  { return kind{"cluster", clusterType, clusterVersion} }

// inGroup is a group's resources of a kind; without a group, the subscription's,
// which can be listed only.
func inGroup[T any](c *Client, group string, k kind) Collection[T] {
	base := c.subscription()
	if group != "" {
		base = c.groupID(group)
	}
	path := base + "/providers/" + k.typ
	return Collection[T]{
		api: c.ResourceManager(k.version), path: path,
		id:      func(name string) string { return path + "/" + url.PathEscape(name) },
		missing: func(ctx context.Context, name string) error { return c.missing(ctx, group, k, name) },
	}
}

// missing is the error for a resource that is not there: the group may be what is
// missing, or the resource be in another one.
func (c *Client) missing(ctx context.Context, group string, k kind, name string) error {
	switch {
	case group == "":
		return nil
	case name == "", group != DefaultGroup && !c.hasGroup(ctx, group):
		return noGroup(group)
	}
	hint := "lanyard " + k.noun + " list"
	all, _ := inGroup[Entry](c, "", k).List(ctx) // only for the hint
	for _, e := range all {
		if strings.EqualFold(e.Is.Name, name) {
			hint = "it is in another group: -g " + shell.Quote(GroupOf(e.Is.ID))
		}
	}
	return fault.WithHint(fault.Absent("no %s %q in resource group %s", k.noun, name, group), hint)
}
