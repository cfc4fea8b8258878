package model

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
)

// IdentityBinding lets the service accounts of one cluster be one managed
// identity, as far as the cluster's own roles allow.
type IdentityBinding struct {
	Resource
	ClusterKey string `json:"cluster"`
	IdentityID string `json:"identity"` // ARM id
	// ClientID of the identity when it was bound. One that is made later under
	// the same name is another.
	ClientID    string `json:"clientId"`
	PrincipalID string `json:"principalId"`
}

// BindingCredential is the name of the one federated credential that all
// bindings of an identity share, whatever the number of clusters.
const BindingCredential = "aks-identity-binding"

// What a cluster's roles must allow, for a service account to be an identity.
// https://learn.microsoft.com/azure/aks/identity-bindings
const (
	BindingGroup = "cid.wi.aks.azure.com"
	BindingVerb  = "use-managed-identity"
)

// ClusterUser is a service account as its cluster knows it.
type ClusterUser struct {
	Name, UID string
	Groups    []string
	Extra     map[string][]string
}

// ErrClusterToken says that a cluster does not accept a token.
var ErrClusterToken = errors.New("the cluster does not accept the token")

// BindingAudience is the audience of the tokens that a cluster's identity
// binding endpoint takes. No other exchange takes them.
const BindingAudience = "api://AKSIdentityBinding"

// Kind implements Object.
func (*IdentityBinding) Kind() Kind { return "IdentityBinding" }

// Key implements Object.
func (b *IdentityBinding) Key() string { return strings.ToLower(b.ID) }

// Index implements Object.
func (b *IdentityBinding) Index() []string {
	return []string{BindingIndex(ClusterToken(b.ClusterKey), b.ClientID), BindingsOf(ClusterToken(b.ClusterKey))}
}

// BindingIndex finds a cluster's IdentityBindings for a client id.
func BindingIndex(clusterToken, clientID string) string {
	return "binding/" + clusterToken + "/" + strings.ToLower(clientID)
}

// BindingsOf finds all IdentityBindings of a cluster.
func BindingsOf(clusterToken string) string { return "bindings/" + clusterToken }

// ClusterToken stands for a cluster in a URL, which an ARM id with its slashes
// cannot. It is one DNS label.
func ClusterToken(clusterKey string) string {
	sum := sha256.Sum256([]byte("identity-binding" + clusterKey))
	return "a" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))
}

// BindingPath is where a cluster's identity binding endpoint is, below the
// token service's URL.
func BindingPath(clusterKey string) string { return "/identitybinding/" + ClusterToken(clusterKey) }

// BindingIssuer is the issuer of an identity's BindingCredential, below the token
// service's URL. Nobody signs as it: it says that clusters vouch for the tokens.
func BindingIssuer(loginURL, tenantID, clientID string) string {
	return loginURL + "/identitybinding/" + tenantID + "/" + clientID
}
