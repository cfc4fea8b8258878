package model

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFederatedCredentialRules(t *testing.T) {
	good := func() *FederatedCredential {
		return &FederatedCredential{Issuer: "https://issuer.example/path/", Subject: "system:serviceaccount:a:b", Audiences: []string{"api://x"}}
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for mention, change := range map[string]func(*FederatedCredential){
		"https URL":         func(f *FederatedCredential) { f.Issuer = "http://issuer.example" },
		"no user":           func(f *FederatedCredential) { f.Issuer = "https://u@issuer.example" },
		"query or fragment": func(f *FederatedCredential) { f.Issuer = "https://issuer.example?" },
		"no spaces":         func(f *FederatedCredential) { f.Issuer = "https://issuer.example/a b" },
		"exactly one":       func(f *FederatedCredential) { f.Audiences = nil },
		"the audience":      func(f *FederatedCredential) { f.Audiences = []string{strings.Repeat("x", maxClaim+1)} },
		"the subject":       func(f *FederatedCredential) { f.Subject = "a\nb" },
		"not both": func(f *FederatedCredential) {
			f.Matching = &Expression{Value: "claims['sub'] eq 'x'", LanguageVersion: 1}
		},
		"languageVersion": func(f *FederatedCredential) { f.Subject, f.Matching = "", &Expression{Value: "claims['sub'] eq 'x'"} },
		"is invalid: the": func(f *FederatedCredential) { f.Subject, f.Matching = "", &Expression{Value: "x", LanguageVersion: 1} },
		"the description": func(f *FederatedCredential) { f.Description = "\x00" },
	} {
		f := good()
		change(f)
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), mention) {
			t.Errorf("%q: got %v", mention, err)
		}
	}
}

func TestCredentialsOfOneNameHaveTheirOwnObjectID(t *testing.T) {
	f := FederatedCredential{Resource: Resource{ID: "/applications/a/federatedIdentityCredentials/ci"}}
	f.System.CreatedAt = time.Unix(1, 2)
	first := f.ObjectID()
	stored, err := Encode(&f)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(stored)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.(*FederatedCredential).ObjectID(); got != first || !ValidUUID(got) {
		t.Errorf("stored and read again: %s, want %s", got, first)
	}
	f.System.CreatedAt = time.Unix(1, 3)
	if f.ObjectID() == first {
		t.Error("a credential that was made later has the same id")
	}
}

// Without a service principal an application is nobody's client.
func TestApplicationIndex(t *testing.T) {
	a := Application{AppID: "A", ObjectID: "O", PrincipalID: "P", Name: "N"}
	if got := strings.Join(a.Index(), " "); got != "app/o name/n client/a principal/p" {
		t.Errorf("with a service principal: %s", got)
	}
	a.PrincipalID = ""
	if got := strings.Join(a.Index(), " "); got != "app/o name/n" {
		t.Errorf("without: %s", got)
	}
}

func TestSharingChangesNothing(t *testing.T) {
	const id = "/subscriptions/S/resourceGroups/Lab/providers/Microsoft.ManagedIdentity/userAssignedIdentities/Web"
	for _, parent := range []string{strings.ToLower(id), "/elsewhere"} {
		f := &FederatedCredential{
			Resource: Resource{ID: id + "/federatedIdentityCredentials/Prod", Name: "Prod", Location: "local"}, ParentKey: parent,
			Issuer: "https://issuer.example", Subject: "s", Audiences: []string{"api://AzureADTokenExchange"},
		}
		before := *f
		before.Audiences = slices.Clone(f.Audiences)
		f.Share(f.Key())
		if diff := cmp.Diff(&before, f); diff != "" {
			t.Errorf("with parent %s (-before +after):\n%s", parent, diff)
		}
	}
}
