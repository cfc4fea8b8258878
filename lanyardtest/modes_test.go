package lanyardtest_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyard-io/lanyard/lanyardtest"
)

// workload makes a vault with a secret that one service account may read, and
// the credential of its pod with these options.
func workload(t *testing.T, s *lanyardtest.Server, tenant string, options azcore.ClientOptions) azcore.TokenCredential {
	t.Helper()
	s.Vault("kv-orders")
	s.SetSecret("kv-orders", "db-password", "correct horse")
	id := s.Identity("orders")
	s.Allow("kv-orders", id.PrincipalID, "get")
	cluster := s.NewIssuer()
	s.Trust(id, cluster, "default", "orders-sa")
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: options, ClientID: id.ClientID, TenantID: tenant, TokenFilePath: cluster.TokenFile("default", "orders-sa"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

func wantSecret(t *testing.T, url string, credential azcore.TokenCredential, options azcore.ClientOptions) {
	t.Helper()
	vault, err := azsecrets.NewClient(url, credential, &azsecrets.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := vault.GetSecret(t.Context(), "db-password", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if *secret.Value != "correct horse" {
		t.Errorf("the secret is %q", *secret.Value)
	}
}

// With AZURE_TENANT_ID=adfs a client asks nobody about its authority.
func TestADFS(t *testing.T) {
	t.Parallel()
	s := lanyardtest.New(t, lanyardtest.Config{ADFS: true})
	wantSecret(t, s.VaultURL("kv-orders"), workload(t, s, "adfs", s.ClientOptions()), s.ClientOptions())
}

// Code with the built-in endpoints of Azure's public cloud needs only a way there.
func TestAzureNames(t *testing.T) {
	t.Parallel()
	s := lanyardtest.New(t, lanyardtest.Config{AzureNames: true})
	options := azcore.ClientOptions{Transport: s.HTTPClient()} // no Cloud: AzurePublic
	if got, want := s.VaultURL("kv-orders"), "https://kv-orders.vault.azure.net/"; got != want {
		t.Errorf("the vault is %s, want %s", got, want)
	}
	if got, want := s.AuthorityURL(), "https://login.microsoftonline.com/"; got != want {
		t.Errorf("the authority is %s, want %s", got, want)
	}
	wantSecret(t, "https://kv-orders.vault.azure.net", workload(t, s, s.TenantID, options), options)

	t.Run("through-the-proxy", func(t *testing.T) {
		client := s.HTTPClient()
		transport := client.Transport.(*http.Transport)
		transport.Proxy = http.ProxyURL(s.ProxyURL())
		transport.DialContext = nil
		credential, err := azidentity.NewClientSecretCredential(s.TenantID, s.Admin.ClientID, s.Admin.ClientSecret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: azcore.ClientOptions{Transport: client}})
		if err != nil {
			t.Fatal(err)
		}
		wantSecret(t, "https://kv-orders.vault.azure.net", credential, azcore.ClientOptions{Transport: client})
	})
}

func TestDirIsKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	var first *lanyardtest.Server
	t.Run("first", func(t *testing.T) {
		first = lanyardtest.New(t, lanyardtest.Config{Dir: dir})
		first.Vault("kv-orders")
		first.SetSecret("kv-orders", "db-password", "correct horse")
	})
	t.Run("second", func(t *testing.T) {
		s := lanyardtest.New(t, lanyardtest.Config{Dir: dir})
		if s.TenantID != first.TenantID || s.SubscriptionID != first.SubscriptionID || s.Admin != first.Admin {
			t.Error("it is another tenant, subscription or admin")
		}
		wantSecret(t, s.VaultURL("kv-orders"), s.Credential(s.Admin), s.ClientOptions())
	})
}

// The issuer's old key stops working within the maximum age, the new one works at once.
func TestRotatedIssuer(t *testing.T) {
	t.Parallel()
	s := lanyardtest.New(t, lanyardtest.Config{IssuerMaxAge: 50 * time.Millisecond})
	id := s.Identity("orders")
	cluster := s.NewIssuer()
	s.Trust(id, cluster, "default", "orders-sa")
	token := func(assertion string) error {
		credential, err := azidentity.NewClientAssertionCredential(s.TenantID, id.ClientID,
			func(context.Context) (string, error) { return assertion, nil },
			&azidentity.ClientAssertionCredentialOptions{ClientOptions: s.ClientOptions()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{s.ManagementURL() + "/.default"}})
		return err
	}
	old := cluster.Token("default", "orders-sa", time.Now())
	if err := token(old); err != nil {
		t.Fatal(err)
	}
	cluster.Rotate()
	for token(old) == nil { // until the keys are read again, or the test's time is up
	}
	if err := token(cluster.Token("default", "orders-sa", time.Now())); err != nil {
		t.Errorf("the new key: %v", err)
	}
}
