package model

import (
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

// For gives the permissions for items of a kind.
func (p *AccessPolicy) For(kind ItemKind) []string {
	switch kind {
	case Secrets:
		return p.Secrets
	}
	return nil
}

// Deletion is when something was deleted, and when it will be gone.
type Deletion struct {
	At    time.Time `json:"at"`
	Purge time.Time `json:"purge"`
}

// DeletedVaultKey is where a deleted vault waits to be recovered or purged.
func DeletedVaultKey(name string) string { return "/deletedvaults/" + strings.ToLower(name) }

// HostedIndex finds what has a host name of its own: NAME in the zone of a surface,
// where NAME is the last part of its key.
func HostedIndex(surface string) string { return "hosted/" + surface }

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
func (v *Vault) Index() []string {
	if v.Deleted != nil {
		return []string{VaultIndex(v.Name)}
	}
	return []string{VaultIndex(v.Name), HostedIndex("vault")}
}
