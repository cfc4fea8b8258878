package manage

import (
	"context"
	"fmt"
	"strings"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// DefaultGroup is made when it is missing, so that a first use needs no group.
const DefaultGroup = "lanyard"

// Group is a resource group.
type Group struct {
	ID       string            `json:"id,omitempty"`
	Name     string            `json:"name,omitempty"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags,omitempty"`
}

// Groups are the subscription's resource groups.
func (c *Client) Groups() Collection[Group] {
	return Collection[Group]{
		api: c.ResourceManager(groupVersion), path: c.subscription() + "/resourceGroups", id: c.groupID,
		missing: func(_ context.Context, name string) error {
			return fault.WithHint(fault.Absent("no resource group %q", name), "lanyard group list")
		},
	}
}

// EnsureGroup makes the default group; a group that somebody named must exist.
func (c *Client) EnsureGroup(ctx context.Context, name, location string) error {
	_, found, err := c.Groups().Lookup(ctx, name)
	if found || err != nil {
		return err
	}
	if name != DefaultGroup {
		return noGroup(name)
	}
	_, _, err = c.Groups().Create(ctx, name, Group{Location: location})
	return err
}

func noGroup(name string) error {
	return fault.WithHint(fault.Absent("no resource group %q", name),
		fmt.Sprintf("lanyard group create %s, or leave -g out for the group %s", shell.Quote(name), DefaultGroup))
}

// Entry is a resource of any type, without what it is.
type Entry struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// Noun is what people call a resource of this type.
func (e Entry) Noun() string {
	for _, k := range []kind{identityKind(), vaultKind(), clusterKind()} {
		if strings.EqualFold(k.typ, e.Type) {
			return k.noun
		}
	}
	return lastStep(e.Type)
}

// Contents are the resources in a group.
func (c *Client) Contents(ctx context.Context, group string) ([]Entry, error) {
	all := Collection[Entry]{api: c.ResourceManager(groupVersion), path: c.groupID(group) + "/resources"}
	found, err := all.List(ctx)
	return Parts(found), err
}

// hasGroup says that a group is there, or that nobody knows.
func (c *Client) hasGroup(ctx context.Context, name string) bool {
	_, err := c.Groups().api.Call(ctx, "GET", c.groupID(name), nil, nil, nil)
	return !client.IsNotFound(err)
}
