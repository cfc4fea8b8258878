package lanyardtest

import (
	"os"
	"path/filepath"
	"time"

	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/wi"
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
const Audience = wi.Audience

// check fails the test when making something went wrong.
func (s *Server) check(err error, what string) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// group makes Group.
func (s *Server) group() {
	s.t.Helper()
	_, err := s.manage.Groups().Put(s.t.Context(), Group, manage.Group{Location: manage.DefaultLocation})
	s.check(err, "making the group "+Group)
}

// Identity makes a managed identity.
func (s *Server) Identity(name string) Identity {
	s.t.Helper()
	s.group()
	made, err := s.manage.Identities(Group).Put(s.t.Context(), name, manage.Identity{Location: manage.DefaultLocation})
	s.check(err, "making the identity "+name)
	return Identity{Name: name, ClientID: made.Is.Properties.ClientID, PrincipalID: made.Is.Properties.PrincipalID}
}

// Trust lets an issuer's service account stand for an identity.
func (s *Server) Trust(id Identity, issuer *Issuer, namespace, serviceAccount string) {
	s.t.Helper()
	s.check(s.manage.TrustIssuer(s.t.Context(), manage.IssuerProperties{URL: issuer.URL(), Roots: string(issuer.i.CA)}), "trusting the issuer")
	_, err := s.manage.Credentials(Group, id.Name).Put(s.t.Context(), namespace+"-"+serviceAccount, manage.Credential{
		Properties: manage.CredentialProperties{
			Issuer: issuer.URL(), Subject: wi.Subject{Namespace: namespace, Name: serviceAccount}.String(), Audiences: []string{Audience},
		},
	})
	s.check(err, "making the federated credential")
}

// Vault makes a vault with access policies; Admin may do everything in it.
func (s *Server) Vault(name string) {
	s.t.Helper()
	s.group()
	_, err := s.manage.Vaults(Group).Put(s.t.Context(), name, s.manage.NewVault(manage.DefaultLocation, manage.VaultProperties{
		Policies: []manage.Policy{s.manage.SecretPolicy(s.Admin.PrincipalID, "all", "purge")},
	}))
	s.check(err, "making the vault "+name)
}

// Allow gives a principal permissions on a vault's secrets: "get", "list", "set"…
func (s *Server) Allow(vault, principalID string, permissions ...string) {
	s.t.Helper()
	s.check(s.manage.AddPolicy(s.t.Context(), Group, vault, principalID, permissions...), "adding a policy to the vault "+vault)
}

// SetSecret stores a secret as Admin.
func (s *Server) SetSecret(vault, name, value string) {
	s.t.Helper()
	v, err := s.manage.SecretVault(vault)
	s.check(err, "opening the vault "+vault)
	_, err = v.Set(s.t.Context(), name, value, "")
	s.check(err, "setting the secret "+name)
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
	path := filepath.Join(i.s.t.TempDir(), wi.TokenName)
	if err := os.WriteFile(path, []byte(i.Token(namespace, serviceAccount, time.Now())), 0o600); err != nil {
		i.s.t.Fatal(err)
	}
	return path
}
