package lanyardtest_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyard-io/lanyard/lanyardtest"
)

// A workload reads a secret with nothing but its service account's token. The code
// under test is the second half: the public Azure SDK, as it runs in a pod.
func ExampleNew() {
	t := newT() // your test's
	defer t.end()

	lanyard := lanyardtest.New(t, lanyardtest.Config{})
	lanyard.Vault("kv-orders")
	lanyard.SetSecret("kv-orders", "db-password", "correct horse")
	identity := lanyard.Identity("orders")
	lanyard.Allow("kv-orders", identity.PrincipalID, "get")
	cluster := lanyard.NewIssuer()
	lanyard.Trust(identity, cluster, "default", "orders-sa")

	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: lanyard.ClientOptions(), TenantID: lanyard.TenantID,
		ClientID: identity.ClientID, TokenFilePath: cluster.TokenFile("default", "orders-sa"),
	})
	if err != nil {
		t.Fatal(err)
	}
	vault, err := azsecrets.NewClient(lanyard.VaultURL("kv-orders"), credential, &azsecrets.ClientOptions{ClientOptions: lanyard.ClientOptions()})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := vault.GetSecret(t.Context(), "db-password", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(*secret.Value)
	// Output: correct horse
}

// A test of what your code does when it is refused: nobody trusts the other account.
func ExampleServer_Trust() {
	t := newT() // your test's
	defer t.end()

	lanyard := lanyardtest.New(t, lanyardtest.Config{})
	identity := lanyard.Identity("orders")
	cluster := lanyard.NewIssuer()
	lanyard.Trust(identity, cluster, "default", "orders-sa")

	for _, account := range []string{"orders-sa", "somebody-else"} {
		credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: lanyard.ClientOptions(), TenantID: lanyard.TenantID,
			ClientID: identity.ClientID, TokenFilePath: cluster.TokenFile("default", account),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{lanyard.ManagementURL() + "/.default"}})
		fmt.Println(account, "is let in:", err == nil)
	}
	// Output:
	// orders-sa is let in: true
	// somebody-else is let in: false
}

// The administrator may do everything, as az would after az login.
func ExampleServer_Credential() {
	t := newT() // your test's
	defer t.end()

	lanyard := lanyardtest.New(t, lanyardtest.Config{})
	lanyard.Vault("kv-orders")
	vault, err := azsecrets.NewClient(lanyard.VaultURL("kv-orders"), lanyard.Credential(lanyard.Admin),
		&azsecrets.ClientOptions{ClientOptions: lanyard.ClientOptions()})
	if err != nil {
		t.Fatal(err)
	}
	value := "correct horse"
	set, err := vault.SetSecret(t.Context(), "db-password", azsecrets.SetSecretParameters{Value: &value}, nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(set.ID.Name())
	// Output: db-password
}

// A program with Microsoft's own endpoints built in needs only a way to the server:
// HTTPS_PROXY and SSL_CERT_FILE, or a client such as this one.
func ExampleServer_HTTPClient() {
	t := newT() // your test's
	defer t.end()

	lanyard := lanyardtest.New(t, lanyardtest.Config{AzureNames: true})
	answer, err := lanyard.HTTPClient().Get("https://login.microsoftonline.com/common/discovery/instance?api-version=1.1" +
		"&authorization_endpoint=https://login.microsoftonline.com/common/oauth2/v2.0/authorize")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.StatusCode == http.StatusOK, lanyard.VaultURL("kv-orders"))
	// Output: true https://kv-orders.vault.azure.net/
}

// Tokens are signed for any time: a test need not wait until one has expired.
func ExampleIssuer_Token() {
	t := newT() // your test's
	defer t.end()

	lanyard := lanyardtest.New(t, lanyardtest.Config{})
	identity := lanyard.Identity("orders")
	cluster := lanyard.NewIssuer()
	lanyard.Trust(identity, cluster, "default", "orders-sa")

	old := cluster.Token("default", "orders-sa", time.Now().Add(-2*time.Hour))
	credential, err := azidentity.NewClientAssertionCredential(lanyard.TenantID, identity.ClientID,
		func(context.Context) (string, error) { return old, nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: lanyard.ClientOptions()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{lanyard.ManagementURL() + "/.default"}})
	fmt.Println("an expired token is refused:", err != nil)
	// Output: an expired token is refused: true
}
