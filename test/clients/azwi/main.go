// Command azwi makes and deletes what `azwi serviceaccount create` and `delete` do
// in the cloud: an application with its service principal, a federated credential
// and a role assignment. It goes the way of azwi 1.6.0 step by step, over the
// libraries that azwi is built of, at their versions: azidentity, Resource Manager's
// clients, and Kiota with Graph's core. Only the SDK of all of Graph is left out, for
// its size: graph.go has its request builders and models for these few requests.
// https://azure.github.io/azure-workload-identity/docs/topics/azwi/serviceaccount-create.html
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// account is what azwi's flags say, under the same names.
type account struct {
	subscription, clientID, clientSecret string
	namespace, name, issuer              string
	role, scope, assignment              string
}

// client holds azwi's own three.
type client struct {
	account
	graph *graph
	arm   *manager
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("want create or delete")
	}
	var a account
	flags := flag.NewFlagSet("azwi", flag.ContinueOnError)
	for name, to := range map[string]*string{
		"subscription-id": &a.subscription, "client-id": &a.clientID, "client-secret": &a.clientSecret,
		"service-account-namespace": &a.namespace, "service-account-name": &a.name, "service-account-issuer-url": &a.issuer,
		"azure-role": &a.role, "azure-scope": &a.scope, "role-assignment-id": &a.assignment,
	} {
		flags.StringVar(to, name, "", "as azwi has it")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	c, err := signIn(a)
	if err != nil {
		return err
	}
	if args[0] == "delete" {
		return c.delete(ctx)
	}
	made, err := c.create(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(made)
}

// signIn asks a server for its tenant, by a request that it refuses, and signs in.
func signIn(a account) (*client, error) {
	httpClient := newHTTPClient()
	tenant, err := tenantOf(a.subscription, httpClient)
	if err != nil {
		return nil, fmt.Errorf("finding the tenant: %w", err)
	}
	credential, err := azidentity.NewClientSecretCredential(tenant, a.clientID, a.clientSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: azcore.ClientOptions{Transport: httpClient}})
	if err != nil {
		return nil, err
	}
	c := &client{account: a}
	if c.graph, err = newGraph(credential, httpClient); err != nil {
		return nil, err
	}
	c.arm, err = newManager(a.subscription, credential)
	return c, err
}
