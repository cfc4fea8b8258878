package resid

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// MaxLen is how many bytes an id may have, before and after decoding.
const MaxLen = 2048

const maxSegment = 260

// resources is the namespace of what lies outside any provider: subscriptions,
// resource groups, tenants.
const resources = "Microsoft.Resources"

// ID is a path of Resource Manager: a resource, or a collection of resources
// when its last type has no name. It keeps the spelling that it was parsed
// from; Key is what identifies it. The zero ID is the root, "/".
//
//	/subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}[/{type}/{name}…]
//
// A resource may itself be the scope of a further "/providers/…" block: an
// extension resource such as a role assignment.
// https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
type ID struct {
	segs  []string // never changed after Parse
	block int      // where the last provider's types begin; 0 outside any provider
}

// Parse reads an id as it stands in a JSON body. One trailing slash is tolerated.
func Parse(s string) (ID, error) {
	segs, err := split(s)
	if err != nil {
		return ID{}, err
	}
	return parse(segs)
}

// ParseEscaped reads an id from a URL's escaped path: it decodes each segment by
// itself, so that an encoded slash cannot make two segments of one.
func ParseEscaped(path string) (ID, error) {
	segs, err := split(path)
	if err != nil {
		return ID{}, err
	}
	for i, s := range segs {
		if segs[i], err = url.PathUnescape(s); err != nil {
			return ID{}, errors.New("it has a broken percent-encoding")
		}
	}
	return parse(segs)
}

func split(s string) ([]string, error) {
	if len(s) > MaxLen {
		return nil, fmt.Errorf("it is longer than %d characters", MaxLen)
	}
	if s == "" || s[0] != '/' {
		return nil, errors.New("it does not start with a slash")
	}
	if s == "/" {
		return nil, nil
	}
	return strings.Split(strings.TrimSuffix(s[1:], "/"), "/"), nil
}

func parse(segs []string) (ID, error) {
	for _, s := range segs {
		if err := checkSegment(s); err != nil {
			return ID{}, err
		}
	}
	id := ID{segs: segs}
	for i := 0; i < len(segs); i += 2 {
		// "providers" begins a block where a type is due, save right after a
		// namespace: Microsoft.Features/providers is a type.
		if !strings.EqualFold(segs[i], "providers") || i+2 >= len(segs) || id.block > 0 && i == id.block {
			continue
		}
		if !validNamespace(segs[i+1]) {
			return ID{}, errors.New("it has no namespace after providers")
		}
		id.block = i + 2
	}
	return id, nil
}

func checkSegment(s string) error {
	switch {
	case s == "":
		return errors.New("it has an empty segment")
	case s == "." || s == "..":
		return errors.New("it has a relative segment")
	case len(s) > maxSegment:
		return fmt.Errorf("it has a segment longer than %d characters", maxSegment)
	case strings.ContainsAny(s, `/\%?#<>&"`) || strings.ContainsFunc(s, foreign):
		return errors.New("it has a character that no segment may hold")
	}
	return nil
}

// foreign keeps ids to printable ASCII, where every reader folds letter case alike.
func foreign(r rune) bool { return r < ' ' || r > '~' }

// validNamespace says whether s may name a resource provider: words of letters
// and digits, joined by dots.
func validNamespace(s string) bool {
	for word := range strings.SplitSeq(s, ".") {
		if word == "" {
			return false
		}
		for _, c := range []byte(word) {
			if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
				return false
			}
		}
	}
	return true
}

// String is the id as it was spelled, without a trailing slash; "/" for the root.
func (id ID) String() string { return "/" + strings.Join(id.segs, "/") }

// Key is the id's canonical form: lower case.
func (id ID) Key() string { return strings.ToLower(id.String()) }

// IsRoot says whether the id is "/", the scope of everything.
func (id ID) IsRoot() bool { return len(id.segs) == 0 }

// IsCollection says whether the last type has no name.
func (id ID) IsCollection() bool { return (len(id.segs)-id.block)%2 == 1 }

// Namespace is the resource provider's, as spelled; Microsoft.Resources outside any provider.
func (id ID) Namespace() string {
	if id.block == 0 {
		return resources
	}
	return id.segs[id.block-1]
}

// Type is namespace and types: Microsoft.KeyVault/vaults, as spelled.
func (id ID) Type() string {
	var b strings.Builder
	b.WriteString(id.Namespace())
	for i := id.block; i < len(id.segs); i += 2 {
		b.WriteByte('/')
		b.WriteString(id.segs[i])
	}
	return b.String()
}

// TypeKey is the type in lower case.
func (id ID) TypeKey() string { return strings.ToLower(id.Type()) }

// Names are the names of the last provider's resource and of its parents, outermost first.
func (id ID) Names() []string {
	var names []string
	for i := id.block + 1; i < len(id.segs); i += 2 {
		names = append(names, id.segs[i])
	}
	return names
}

// Name is the resource's own name; empty for a collection and the root.
func (id ID) Name() string {
	if id.IsRoot() || id.IsCollection() {
		return ""
	}
	return id.segs[len(id.segs)-1]
}

// LastType is the last type segment, as spelled: the collection's, or an action's name.
func (id ID) LastType() string {
	switch {
	case id.IsRoot():
		return ""
	case id.IsCollection():
		return id.segs[len(id.segs)-1]
	}
	return id.segs[len(id.segs)-2]
}

// Parent is what the id hangs below: for a collection, the resource that has
// it; for a resource, its parent resource or its Scope. The root is its own parent.
func (id ID) Parent() ID {
	cut := 2
	if id.IsCollection() {
		cut = 1
	}
	end := len(id.segs) - cut
	if end <= id.block {
		return id.Scope()
	}
	return ID{segs: id.segs[:end:end], block: id.block}
}

// Scope is what the last provider's block hangs on: a resource group, a
// subscription, the root or, for an extension resource, a resource.
func (id ID) Scope() ID {
	if id.block == 0 {
		return ID{}
	}
	end := id.block - 2
	scope, err := parse(id.segs[:end:end])
	if err != nil { // its segments were checked when id was parsed
		return ID{}
	}
	return scope
}

// Subscription is the subscription's id, as spelled; empty at tenant level.
func (id ID) Subscription() string { return id.pair(0, "subscriptions") }

// Group is the resource group's name, as spelled; empty outside one.
func (id ID) Group() string {
	if id.Subscription() == "" {
		return ""
	}
	return id.pair(2, "resourcegroups")
}

// GroupID is the id of the resource group; the root when there is none.
func (id ID) GroupID() ID {
	if id.Group() == "" {
		return ID{}
	}
	return ID{segs: id.segs[:4:4]}
}

func (id ID) pair(at int, name string) string {
	if len(id.segs) < at+2 || !strings.EqualFold(id.segs[at], name) {
		return ""
	}
	return id.segs[at+1]
}

// Within says whether the id is scope or lies below it.
func (id ID) Within(scope ID) bool {
	if len(scope.segs) > len(id.segs) {
		return false
	}
	for i, s := range scope.segs {
		if !strings.EqualFold(s, id.segs[i]) { // ASCII, by Parse
			return false
		}
	}
	return true
}

// Equal says whether two ids name the same thing.
func (id ID) Equal(other ID) bool { return len(id.segs) == len(other.segs) && id.Within(other) }
