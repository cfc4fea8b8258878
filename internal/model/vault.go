package model

import (
	"maps"
	"strings"
	"time"
)

// Vault is a key vault. A live one has its ARM id as its key; a deleted one
// that can be recovered lives at DeletedVaultKey. Vault names are unique over
// both: see VaultIndex.
type Vault struct {
	Resource
	SKU            string         `json:"sku"` // standard or premium
	TenantID       string         `json:"tenantId"`
	Roles          bool           `json:"roles"` // role-based access; otherwise Policies
	Policies       []AccessPolicy `json:"policies,omitempty"`
	RetentionDays  int            `json:"retentionDays"` // of deleted secrets and of the vault itself, 7 to 90
	PurgeProtected bool           `json:"purgeProtected,omitempty"`
	// Deployment, DiskEncryption and TemplateDeployment are enabledFor…: kept
	// and shown, without effect here.
	Deployment         bool `json:"deployment,omitempty"`
	DiskEncryption     bool `json:"diskEncryption,omitempty"`
	TemplateDeployment bool `json:"templateDeployment,omitempty"`
	// Network is who may reach the secrets, by address; nil: everybody.
	Network *VaultNetwork `json:"network,omitempty"`
	Closed  bool          `json:"closed,omitempty"` // nobody may reach the secrets
	// Deleted is nil for a live vault.
	Deleted *Deletion `json:"deleted,omitempty"`
}

// VaultNetwork is a vault's firewall.
type VaultNetwork struct {
	Deny      bool     `json:"deny,omitempty"`      // whom no rule admits; otherwise the rules have no effect
	Addresses []string `json:"addresses,omitempty"` // that are admitted, as CIDRs
	// Subnets and NoBypass are kept and shown. They admit nobody here.
	Subnets  []VaultSubnet `json:"subnets,omitempty"`
	NoBypass bool          `json:"noBypass,omitempty"`
}

// VaultSubnet is a virtual network's part, by its ARM id.
type VaultSubnet struct {
	ID            string `json:"id"`
	IgnoreMissing bool   `json:"ignoreMissing,omitempty"`
}

// AccessPolicy is what one principal may do in a vault. Permission names are
// lower case; "all" stands for every one but purge.
type AccessPolicy struct {
	TenantID      string   `json:"tenantId"`
	ObjectID      string   `json:"objectId"`
	ApplicationID string   `json:"applicationId,omitempty"`
	Secrets       []string `json:"secrets,omitempty"`
	Keys          []string `json:"keys,omitempty"`
	Certificates  []string `json:"certificates,omitempty"`
	Storage       []string `json:"storage,omitempty"`
}

// Deletion is when something was deleted, and when it will be gone.
type Deletion struct {
	At    time.Time `json:"at"`
	Purge time.Time `json:"purge"`
}

// DeletedVaultKey is where a deleted vault waits to be recovered or purged.
func DeletedVaultKey(name string) string { return "/deletedvaults/" + strings.ToLower(name) }

// AllVaults finds every vault, live or deleted.
const AllVaults = "vaults/all"

// VaultIndex finds a vault by its name, live or deleted.
func VaultIndex(name string) string { return "vault/" + strings.ToLower(name) }

// Kind implements Object.
func (*Vault) Kind() Kind { return "Vault" }

// Key implements Object.
func (v *Vault) Key() string {
	if v.Deleted != nil {
		return DeletedVaultKey(v.Name)
	}
	return strings.ToLower(v.ID)
}

// Index implements Object.
func (v *Vault) Index() []string { return []string{AllVaults, VaultIndex(v.Name)} }

// Secret is a name in a vault: its current version and, when it was deleted,
// since when.
type Secret struct {
	Vault   string    `json:"vault"`   // the vault's name
	Name    string    `json:"name"`    // as first spelled
	Current string    `json:"current"` // id of the newest version
	Deleted *Deletion `json:"deleted,omitempty"`
}

// SecretsKey is the prefix of all secrets of a vault, with their versions.
func SecretsKey(vault string) string { return "/vaults/" + strings.ToLower(vault) + "/secrets/" }

// SecretKey is where a secret lives.
func SecretKey(vault, name string) string { return SecretsKey(vault) + strings.ToLower(name) }

// SecretVersionsKey is the prefix of a secret's versions. It is not below
// SecretsKey, so that a listing of secrets does not walk over versions.
func SecretVersionsKey(vault, name string) string {
	return "/vaults/" + strings.ToLower(vault) + "/versions/" + strings.ToLower(name) + "/"
}

// SecretVersionKey is where a version's attributes live; its sealed value is
// the store's blob under the same key.
func SecretVersionKey(vault, name, version string) string {
	return SecretVersionsKey(vault, name) + strings.ToLower(version)
}

// Kind implements Object.
func (*Secret) Kind() Kind { return "Secret" }

// Key implements Object.
func (s *Secret) Key() string { return SecretKey(s.Vault, s.Name) }

// Index implements Object.
func (*Secret) Index() []string { return nil }

// Clone is what Decode would make of the encoded secret.
func (s *Secret) Clone() Object {
	c := *s
	if s.Deleted != nil {
		c.Deleted = &Deletion{At: s.Deleted.At.UTC(), Purge: s.Deleted.Purge.UTC()}
	}
	return &c
}

// SecretVersion is one version's attributes, without its value.
type SecretVersion struct {
	Vault       string            `json:"vault"`
	Name        string            `json:"name"`
	Version     string            `json:"version"` // 32 lower-case hex digits
	ContentType string            `json:"contentType,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Disabled    bool              `json:"disabled,omitempty"`
	NotBefore   *int64            `json:"nbf,omitempty"` // Unix seconds, as the protocol has them
	Expires     *int64            `json:"exp,omitempty"`
	Created     int64             `json:"created"`
	Updated     int64             `json:"updated"`
}

// Kind implements Object.
func (*SecretVersion) Kind() Kind { return "SecretVersion" }

// Key implements Object.
func (s *SecretVersion) Key() string { return SecretVersionKey(s.Vault, s.Name, s.Version) }

// Index implements Object.
func (*SecretVersion) Index() []string { return nil }

// Clone is what Decode would make of the encoded version.
func (s *SecretVersion) Clone() Object {
	c := *s
	c.Tags = nil
	if len(s.Tags) > 0 {
		c.Tags = maps.Clone(s.Tags)
	}
	c.NotBefore, c.Expires = clone(s.NotBefore), clone(s.Expires)
	return &c
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
