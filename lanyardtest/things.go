package lanyardtest

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/model"
)

// Identity is a managed identity.
type Identity struct {
	Name        string
	ClientID    string
	PrincipalID string // its object id, which policies and roles name
}

// Group is the resource group that the helpers put things in.
const Group = "lanyardtest"

// Audience is what federated credentials of the helpers accept.
const Audience = "api://AzureADTokenExchange"

func (s *Server) put(path, version string, body, answer any) {
	s.t.Helper()
	if err := s.client.ARM(s.t.Context(), "PUT", path, version, body, answer); err != nil {
		s.t.Fatalf("PUT %s: %v", path, err)
	}
}

// group is the id of Group, which it makes.
func (s *Server) group() string {
	s.t.Helper()
	id := "/subscriptions/" + s.SubscriptionID + "/resourceGroups/" + Group
	s.put(id, "2021-04-01", map[string]string{"location": "local"}, nil)
	return id
}

// Identity makes a managed identity.
func (s *Server) Identity(name string) Identity {
	s.t.Helper()
	var made struct {
		Properties struct{ ClientID, PrincipalID string }
	}
	s.put(s.identityID(name), "2023-01-31", map[string]string{"location": "local"}, &made)
	return Identity{Name: name, ClientID: made.Properties.ClientID, PrincipalID: made.Properties.PrincipalID}
}

func (s *Server) identityID(name string) string {
	s.t.Helper()
	return s.group() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name
}

// Trust lets an issuer's service account stand for an identity.
func (s *Server) Trust(id Identity, issuer *Issuer, namespace, serviceAccount string) {
	s.t.Helper()
	s.put("/providers/Lanyard.Trust"+model.IssuerKey(issuer.URL()), "2026-11-01",
		map[string]any{"properties": map[string]any{"url": issuer.URL(), "roots": string(issuer.i.CA)}}, nil)
	s.put(s.identityID(id.Name)+"/federatedIdentityCredentials/"+namespace+"-"+serviceAccount, "2023-01-31",
		map[string]any{"properties": map[string]any{
			"issuer": issuer.URL(), "subject": "system:serviceaccount:" + namespace + ":" + serviceAccount,
			"audiences": []string{Audience},
		}}, nil)
}

// Vault makes a vault with access policies; Admin may do everything in it.
func (s *Server) Vault(name string) {
	s.t.Helper()
	s.put(s.vaultID(name), "2023-07-01", map[string]any{"location": "local", "properties": map[string]any{
		"tenantId": s.TenantID, "sku": map[string]string{"family": "A", "name": "standard"},
		"enableRbacAuthorization": false,
		"accessPolicies":          []any{s.policy(s.Admin.PrincipalID, "all", "purge")},
	}}, nil)
}

func (s *Server) vaultID(name string) string {
	s.t.Helper()
	return s.group() + "/providers/Microsoft.KeyVault/vaults/" + name
}

func (s *Server) policy(principal string, secrets ...string) map[string]any {
	return map[string]any{"tenantId": s.TenantID, "objectId": principal, "permissions": map[string]any{"secrets": secrets}}
}

// Allow gives a principal permissions on a vault's secrets: "get", "list", "set"…
func (s *Server) Allow(vault, principalID string, permissions ...string) {
	s.t.Helper()
	s.put(s.vaultID(vault)+"/accessPolicies/add", "2023-07-01",
		map[string]any{"properties": map[string]any{"accessPolicies": []any{s.policy(principalID, permissions...)}}}, nil)
}

// SetSecret stores a secret as Admin.
func (s *Server) SetSecret(vault, name, value string) {
	s.t.Helper()
	c, err := s.client.Secrets(vault)
	if err != nil {
		s.t.Fatalf("making a vault client: %v", err)
	}
	if _, err := c.SetSecret(context.Background(), name, azsecrets.SetSecretParameters{Value: &value}, nil); err != nil {
		s.t.Fatalf("setting secret %s: %v", name, err)
	}
}

// Issuer plays a Kubernetes cluster: it signs service-account tokens as
// kube-apiserver does and serves its keys.
type Issuer struct {
	s *Server
	i *devissuer.Issuer
}

// NewIssuer starts an issuer that stops when the test ends.
func (s *Server) NewIssuer() *Issuer {
	s.t.Helper()
	i, err := devissuer.Start()
	if err != nil {
		s.t.Fatalf("starting an issuer: %v", err)
	}
	s.t.Cleanup(func() { i.Close() })
	return &Issuer{s: s, i: i}
}

// URL is the issuer: iss in its tokens.
func (i *Issuer) URL() string { return i.i.URL }

// Rotate makes a new signing key and withdraws the old one.
func (i *Issuer) Rotate() {
	i.s.t.Helper()
	if err := i.i.Rotate(); err != nil {
		i.s.t.Fatalf("rotating the issuer's key: %v", err)
	}
}

// Token is a service account's projected token, good for an hour from issued.
func (i *Issuer) Token(namespace, serviceAccount string, issued time.Time) string {
	i.s.t.Helper()
	token, err := i.i.Token(namespace, serviceAccount, Audience, issued)
	if err != nil {
		i.s.t.Fatalf("signing a token: %v", err)
	}
	return token
}

// TokenFile is the path of a file with Token, as the webhook mounts it in a pod.
func (i *Issuer) TokenFile(namespace, serviceAccount string) string {
	i.s.t.Helper()
	path := filepath.Join(i.s.t.TempDir(), "azure-identity-token")
	if err := os.WriteFile(path, []byte(i.Token(namespace, serviceAccount, time.Now())), 0o600); err != nil {
		i.s.t.Fatal(err)
	}
	return path
}
