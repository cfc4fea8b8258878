package model

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unique"
)

// ResourceGroup is an ARM resource group.
type ResourceGroup struct {
	Resource
	ManagedBy string `json:"managedBy,omitempty"` // the id of a resource, at its maker's word
}

// Kind implements Object.
func (*ResourceGroup) Kind() Kind { return "ResourceGroup" }

// Key implements Object.
func (g *ResourceGroup) Key() string { return strings.ToLower(g.ID) }

// Index implements Object.
func (*ResourceGroup) Index() []string { return nil }

// Identity is a user-assigned managed identity.
type Identity struct {
	Resource
	TenantID    string `json:"tenantId"`
	ClientID    string `json:"clientId"`
	PrincipalID string `json:"principalId"`
}

// Kind implements Object.
func (*Identity) Kind() Kind { return "Identity" }

// Key implements Object.
func (i *Identity) Key() string { return strings.ToLower(i.ID) }

// Index implements Object.
func (i *Identity) Index() []string {
	return []string{ClientIndex(i.ClientID), PrincipalIndex(i.PrincipalID), NameIndex(i.Name)}
}

// NameIndex finds the Identities and Applications of this name, in any letter case.
func NameIndex(name string) string { return "name/" + strings.ToLower(name) }

// ClientIndex finds the Identity or Application with this client id.
func ClientIndex(clientID string) string { return "client/" + strings.ToLower(clientID) }

// PrincipalIndex finds the Identity or Application with this object id.
func PrincipalIndex(objectID string) string { return "principal/" + strings.ToLower(objectID) }

// FederatedCredential says which foreign tokens may stand for a client. Its
// parent, an Identity or an Application, is its key up to the last two segments.
type FederatedCredential struct {
	Resource
	Issuer    string      `json:"issuer"`             // exact, as in iss
	Subject   string      `json:"subject,omitempty"`  // exact, as in sub; empty with Matching
	Audiences []string    `json:"audiences"`          // exactly one
	Matching  *Expression `json:"matching,omitempty"` // flexible: in place of Subject
	// ParentKey is the key of the Identity or Application that it belongs to.
	ParentKey   string `json:"parent"`
	Description string `json:"description,omitempty"` // applications only
}

// Expression is a claimsMatchingExpression.
type Expression struct {
	Value           string `json:"value"`
	LanguageVersion int    `json:"languageVersion"`
}

// FederatedCredentialSegment is the path segment before a credential's name in its key.
const FederatedCredentialSegment = "/federatedidentitycredentials/"

// Kind implements Object.
func (*FederatedCredential) Kind() Kind { return "FederatedCredential" }

// Key implements Object.
func (f *FederatedCredential) Key() string { return strings.ToLower(f.ID) }

// Share has the credential's texts use the memory of its key, and of equal texts
// elsewhere: a store may hold millions of credentials, of few issuers.
func (f *FederatedCredential) Share(key string) {
	if strings.HasPrefix(key, f.ParentKey) {
		f.ParentKey = key[:len(f.ParentKey)]
	}
	if strings.HasSuffix(f.ID, f.Name) {
		f.Name = f.ID[len(f.ID)-len(f.Name):]
	}
	f.Issuer, f.Location = unique.Make(f.Issuer).Value(), unique.Make(f.Location).Value()
	for i, audience := range f.Audiences {
		f.Audiences[i] = unique.Make(audience).Value()
	}
}

// Index implements Object. IssuerIndex answers "does any credential name this
// issuer?"; FederationIndex finds the credential for an exact assertion.
func (f *FederatedCredential) Index() []string {
	idx := []string{IssuerIndex(f.Issuer), FederationIndex(f.ParentKey, f.Issuer, "")}
	if f.Matching == nil {
		idx = append(idx, FederationIndex(f.ParentKey, f.Issuer, f.Subject))
	}
	return idx
}

// IssuerIndex finds every credential that names an issuer.
func IssuerIndex(issuer string) string { return "issuer/" + issuer }

// FederationIndex finds a client's credentials for an issuer and an exact
// subject; with an empty subject, all its credentials for the issuer, flexible ones included.
func FederationIndex(parentKey, issuer, subject string) string {
	return "fed/" + parentKey + "\x00" + issuer + "\x00" + subject
}

// RoleAssignment gives a principal a role at a scope.
type RoleAssignment struct {
	Resource
	Scope         string `json:"scope"`  // ARM id, or "/" for everything
	RoleID        string `json:"roleId"` // the role definition's GUID, lower case
	PrincipalID   string `json:"principalId"`
	PrincipalType string `json:"principalType"`
	Description   string `json:"description,omitempty"`
}

// Kind implements Object.
func (*RoleAssignment) Kind() Kind { return "RoleAssignment" }

// Key implements Object.
func (r *RoleAssignment) Key() string { return strings.ToLower(r.ID) }

// Index implements Object.
func (r *RoleAssignment) Index() []string { return []string{RoleIndex(r.PrincipalID)} }

// RoleIndex finds a principal's role assignments.
func RoleIndex(principalID string) string { return "roles/" + strings.ToLower(principalID) }

// Issuer is how to trust a foreign issuer when plain discovery with the
// system's roots does not do: keys that were uploaded, or a private CA.
type Issuer struct {
	URL     string    `json:"url"`             // exact, as in iss
	Keys    []byte    `json:"keys,omitempty"`  // a JWKS; empty: discover
	Roots   []byte    `json:"roots,omitempty"` // PEM; empty: the system's
	Updated time.Time `json:"updated"`
	// Fault is why a cluster's keys could not be read any more; Updated is then
	// when they were read last.
	Fault string `json:"fault,omitempty"`
}

// MaxIssuerKeys is how many keys are kept of an issuer.
const MaxIssuerKeys = 100

// NoKeys is a JWKS that verifies nothing. It is not an absence of keys, which would
// mean to discover them.
const NoKeys = `{"keys":[]}`

// KeysGone says that the keys of a cluster's issuer could not be read for so long
// that its tokens are refused.
func (i *Issuer) KeysGone() bool { return string(i.Keys) == NoKeys }

// IssuerKey is where an issuer's settings live: its URL may hold anything, so
// the key is its hash.
func IssuerKey(url string) string {
	sum := sha256.Sum256([]byte(url))
	return "/issuers/" + hex.EncodeToString(sum[:16])
}

// Kind implements Object.
func (*Issuer) Kind() Kind { return "Issuer" }

// Key implements Object.
func (i *Issuer) Key() string { return IssuerKey(i.URL) }

// Index implements Object.
func (*Issuer) Index() []string { return nil }
