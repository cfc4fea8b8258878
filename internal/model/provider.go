package model

import (
	"strings"
	"time"
)

// Registration remembers that a subscription registered a resource provider or
// a feature, or took that back.
type Registration struct {
	ID         string    `json:"id"` // ARM id of the provider or the feature
	Namespace  string    `json:"namespace"`
	Feature    string    `json:"feature,omitempty"` // empty for the provider itself
	Registered bool      `json:"registered"`
	Changed    time.Time `json:"changed"`
}

// Kind implements Object.
func (*Registration) Kind() Kind { return "Registration" }

// Key implements Object.
func (r *Registration) Key() string { return strings.ToLower(r.ID) }

// Index implements Object.
func (*Registration) Index() []string { return nil }

// VaultName reserves a vault's name, so that two groups cannot both make a
// vault of that name at once. It lives as long as the vault, also while that is
// deleted and can be recovered.
type VaultName struct {
	Name    string `json:"name"`
	VaultID string `json:"vaultId"`
}

// VaultNameKey is where a vault's name is reserved.
func VaultNameKey(name string) string { return "/vaultnames/" + strings.ToLower(name) }

// Kind implements Object.
func (*VaultName) Kind() Kind { return "VaultName" }

// Key implements Object.
func (n *VaultName) Key() string { return VaultNameKey(n.Name) }

// Index implements Object.
func (*VaultName) Index() []string { return nil }
