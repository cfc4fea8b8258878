package model

import (
	"maps"
	"strings"
)

// ItemKind is a kind of what vaults hold, by its name in paths and permissions.
// Items of different kinds may have the same name.
type ItemKind string

// Secrets have a sealed value, which is read.
const Secrets ItemKind = "secrets"

// Noun is what one of them is called.
func (k ItemKind) Noun() string { return strings.TrimSuffix(string(k), "s") }

// itemKinds has for each ItemKind what the store calls it. A new one adds its row
// here, and the two kinds of objects to kinds.
var itemKinds = map[ItemKind]struct {
	item, version Kind
	versions      string // the versions' place below the vault's
}{
	Secrets: {"Secret", "SecretVersion", "versions"},
}

// Item is a name in a vault: its current version and, when it was deleted, since
// when.
type Item struct {
	ItemKind ItemKind  `json:"-"`       // the stored kind says it
	Vault    string    `json:"vault"`   // the vault's name
	Name     string    `json:"name"`    // as first spelled
	Current  string    `json:"current"` // id of the newest version
	Deleted  *Deletion `json:"deleted,omitempty"`
}

// ContentsOfVaults is the prefix of all that vaults hold.
const ContentsOfVaults = "/vaults/"

// ContentsKey is the prefix of all that a vault holds.
func ContentsKey(vault string) string { return ContentsOfVaults + strings.ToLower(vault) + "/" }

// ItemsKey is the prefix of a vault's items of a kind.
func ItemsKey(kind ItemKind, vault string) string { return ContentsKey(vault) + string(kind) + "/" }

// ItemKey is where an item lives.
func ItemKey(kind ItemKind, vault, name string) string {
	return ItemsKey(kind, vault) + strings.ToLower(name)
}

// VersionsKey is the prefix of an item's versions. It is not below ItemsKey, so
// that a listing of items does not walk over versions.
func VersionsKey(kind ItemKind, vault, name string) string {
	return ContentsKey(vault) + itemKinds[kind].versions + "/" + strings.ToLower(name) + "/"
}

// VersionKey is where a version's attributes live; its sealed value is the store's
// blob under the same key.
func VersionKey(kind ItemKind, vault, name, version string) string {
	return VersionsKey(kind, vault, name) + strings.ToLower(version)
}

// Kind implements Object.
func (i *Item) Kind() Kind { return itemKinds[i.ItemKind].item }

// Key implements Object.
func (i *Item) Key() string { return ItemKey(i.ItemKind, i.Vault, i.Name) }

// Index implements Object.
func (*Item) Index() []string { return nil }

// Clone is what Decode would make of the encoded item.
func (i *Item) Clone() Object {
	c := *i
	if i.Deleted != nil {
		c.Deleted = &Deletion{At: i.Deleted.At.UTC(), Purge: i.Deleted.Purge.UTC()}
	}
	return &c
}

// ItemVersion is one version's attributes, without its value.
type ItemVersion struct {
	ItemKind    ItemKind          `json:"-"` // the stored kind says it
	Vault       string            `json:"vault"`
	Name        string            `json:"name"`
	Version     string            `json:"version"`               // 32 lower-case hex digits
	ContentType string            `json:"contentType,omitempty"` // of a secret
	Tags        map[string]string `json:"tags,omitempty"`
	Disabled    bool              `json:"disabled,omitempty"`
	NotBefore   *int64            `json:"nbf,omitempty"` // Unix seconds, as the protocol has them
	Expires     *int64            `json:"exp,omitempty"`
	Created     int64             `json:"created"`
	Updated     int64             `json:"updated"`
}

// Kind implements Object.
func (v *ItemVersion) Kind() Kind { return itemKinds[v.ItemKind].version }

// Key implements Object.
func (v *ItemVersion) Key() string { return VersionKey(v.ItemKind, v.Vault, v.Name, v.Version) }

// Index implements Object.
func (*ItemVersion) Index() []string { return nil }

// Clone is what Decode would make of the encoded version.
func (v *ItemVersion) Clone() Object {
	c := *v
	c.Tags = nil
	if len(v.Tags) > 0 {
		c.Tags = maps.Clone(v.Tags)
	}
	c.NotBefore, c.Expires = clone(v.NotBefore), clone(v.Expires)
	return &c
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
