package lanyardtest_test

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyard-io/lanyard/lanyardtest"
)

// A workload reads a secret with nothing but its service account's token. The
// code under test is the last part: the public Azure SDK, as it runs in a pod.
func TestWorkloadGetsItsSecret(t *testing.T) {
	lanyard := lanyardtest.New(t, lanyardtest.Config{})

	// Somebody stores a secret, and lets an identity read it.
	lanyard.Vault("kv-orders")
	lanyard.SetSecret("kv-orders", "db-password", "correct horse")
	identity := lanyard.Identity("orders")
	lanyard.Allow("kv-orders", identity.PrincipalID, "get")

	// The identity trusts one service account of a cluster.
	cluster := lanyard.NewIssuer()
	lanyard.Trust(identity, cluster, "default", "orders-sa")

	// The workload: no secret of its own, only a token file.
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: lanyard.ClientOptions(),
		ClientID:      identity.ClientID,
		TenantID:      lanyard.TenantID,
		TokenFilePath: cluster.TokenFile("default", "orders-sa"),
	})
	if err != nil {
		t.Fatal(err)
	}
	vault, err := azsecrets.NewClient(lanyard.VaultURL("kv-orders"), credential,
		&azsecrets.ClientOptions{ClientOptions: lanyard.ClientOptions()})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := vault.GetSecret(t.Context(), "db-password", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *secret.Value, "correct horse"; got != want {
		t.Errorf("the secret is %q, want %q", got, want)
	}
}

// What a test needs to have a vault, an identity and a cluster of its own. The rest
// is the code under test, with the public Azure SDK: see TestWorkloadGetsItsSecret.
func ExampleNew() {
	var t *testing.T // your test's

	lanyard := lanyardtest.New(t, lanyardtest.Config{})
	lanyard.Vault("kv-orders")
	lanyard.SetSecret("kv-orders", "db-password", "correct horse")

	identity := lanyard.Identity("orders")
	lanyard.Allow("kv-orders", identity.PrincipalID, "get")

	cluster := lanyard.NewIssuer()
	lanyard.Trust(identity, cluster, "default", "orders-sa")
}
