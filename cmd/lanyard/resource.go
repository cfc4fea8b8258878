package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// whole is an answer of the server's: is has what we read of it, and -o json shows all.
type whole[T any] struct {
	is  T
	all json.RawMessage
}

// UnmarshalJSON keeps the text beside what is read of it.
func (w *whole[T]) UnmarshalJSON(b []byte) error {
	w.all = slices.Clone(b)
	return json.Unmarshal(b, &w.is)
}

// MarshalJSON is the server's own text.
func (w whole[T]) MarshalJSON() ([]byte, error) {
	if w.all == nil {
		return json.Marshal(w.is)
	}
	return w.all, nil
}

// parts are what was read of several answers.
func parts[T any](all []whole[T]) []T {
	out := make([]T, 0, len(all))
	for _, w := range all {
		out = append(out, w.is)
	}
	return out
}

// kind is a type of resource: what people call it, and where it is.
type kind struct{ noun, typ, version string }

func identityKind() kind {
	return kind{"identity", "Microsoft.ManagedIdentity/userAssignedIdentities", identityVersion}
}

func vaultKind() kind { return kind{"vault", "Microsoft.KeyVault/vaults", vaultVersion} }

func clusterKind() kind {
	return kind{"cluster", "Microsoft.ContainerService/managedClusters", clusterVersion}
}

func (t target) id(c *client.Client, k kind, name string) string {
	return t.groupID(c) + "/providers/" + k.typ + "/" + url.PathEscape(name)
}

// find reads one resource and its ETag. An error says in words what is not there.
func find[T any](ctx context.Context, c *client.Client, t target, k kind, name string) (w whole[T], etag string, err error) {
	etag, err = c.Read(ctx, t.id(c, k, name), k.version, &w)
	if client.IsNotFound(err) {
		err = t.missing(ctx, c, k, name)
	}
	return w, etag, err
}

// listOf reads a kind's resources: all, or the group's when the user named one.
func listOf[T any](ctx context.Context, c *client.Client, t target, k kind, grouped bool) ([]whole[T], error) {
	base := "/subscriptions/" + c.Subscription
	if grouped {
		base = t.groupID(c)
	}
	all, err := listAll[whole[T]](ctx, c, base+"/providers/"+k.typ, k.version)
	if grouped && client.IsNotFound(err) {
		err = noGroup(t.group)
	}
	return all, err
}

// drop deletes one resource, and says so when there is none.
func (t target) drop(ctx context.Context, c *client.Client, k kind, name string) error {
	found, err := c.Delete(ctx, t.id(c, k, name), k.version)
	if err == nil && !found {
		return t.missing(ctx, c, k, name)
	}
	return err
}

// missing is the error for a resource that is not there: the group may be what is
// missing, or the resource be in another one.
func (t target) missing(ctx context.Context, c *client.Client, k kind, name string) error {
	if t.group != defaultGroup && client.IsNotFound(c.ARM(ctx, "GET", t.groupID(c), groupsVersion, nil, nil)) {
		return noGroup(t.group)
	}
	err := fault.Absent("no %s %q in resource group %s", k.noun, name, t.group)
	hint := "lanyard " + k.noun + " list"
	type entry struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	all, _ := listAll[entry](ctx, c, "/subscriptions/"+c.Subscription+"/providers/"+k.typ, k.version) // only for the hint
	for _, e := range all {
		if strings.EqualFold(e.Name, name) {
			hint = "it is in another group: -g " + shell.Quote(groupOf(e.ID))
		}
	}
	return fault.WithHint(err, hint)
}

func noGroup(name string) error {
	return fault.WithHint(fault.Absent("no resource group %q", name),
		fmt.Sprintf("lanyard group create %s, or leave -g out for the group %s", shell.Quote(name), defaultGroup))
}

// groupOf is the resource group in a resource's id.
func groupOf(id string) string {
	steps := strings.Split(id, "/")
	for i := 1; i+1 < len(steps); i += 2 {
		if strings.EqualFold(steps[i], "resourceGroups") {
			return steps[i+1]
		}
	}
	return ""
}

// stays says that a create has changed nothing.
func (a *app) stays(noun, name string) {
	a.say("the %s %s exists already; it stays as it is", noun, name)
}

// differs is the error of a create that asks for something other than what is there.
func differs(noun, name, how, hint string) error {
	return fault.WithHint(fmt.Errorf("the %s %s exists already, with %s; nothing was changed", noun, name, how), hint)
}
