package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/keyvault/armkeyvault"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

const location = "westeurope"

// manager goes through the life of every type with the management SDKs, in a
// resource group of its own.
type manager struct {
	ctx      context.Context
	sub      string
	group    string
	clusters []string // attached, in the group "lanyard"

	resources     *armresources.ClientFactory
	identity      *armmsi.ClientFactory
	vault         *armkeyvault.ClientFactory
	authorization *armauthorization.ClientFactory
	container     *armcontainerservice.ClientFactory
}

func manage(ctx context.Context, cred azcore.TokenCredential) error {
	m := &manager{
		ctx: ctx, sub: os.Getenv("AZURE_SUBSCRIPTION_ID"), group: "managed-by-go",
		clusters: strings.Split(os.Getenv("CLUSTERS"), ","),
	}
	options := &arm.ClientOptions{ClientOptions: policy.ClientOptions{Cloud: managedCloud(), PerCallPolicies: []policy.Policy{smallPages{}}}}
	var errs [5]error
	m.resources, errs[0] = armresources.NewClientFactory(m.sub, cred, options)
	m.identity, errs[1] = armmsi.NewClientFactory(m.sub, cred, options)
	m.vault, errs[2] = armkeyvault.NewClientFactory(m.sub, cred, options)
	m.authorization, errs[3] = armauthorization.NewClientFactory(m.sub, cred, options)
	m.container, errs[4] = armcontainerservice.NewClientFactory(m.sub, cred, options)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	for _, step := range []func() error{
		m.makeGroups, m.providers, m.identities, m.credentials, m.vaults, m.deletedVaults, m.assignments, m.managedClusters, m.deleteGroups,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// managedCloud is the public cloud, or one at RESOURCE_MANAGER_URL.
func managedCloud() cloud.Configuration {
	url := os.Getenv("RESOURCE_MANAGER_URL")
	if url == "" {
		return cloud.AzurePublic
	}
	return cloud.Configuration{
		ActiveDirectoryAuthorityHost: os.Getenv("AZURE_AUTHORITY_HOST"),
		Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: url, Audience: url}},
	}
}

// smallPages asks for two items at a time where the SDK has no such option, so
// that a list of three has two pages.
type smallPages struct{}

func (smallPages) Do(req *policy.Request) (*http.Response, error) {
	if small, _ := req.Raw().Context().Value(smallPages{}).(bool); small {
		q := req.Raw().URL.Query()
		q.Set("$top", "2")
		req.Raw().URL.RawQuery = q.Encode()
	}
	return req.Next()
}

// all reads every page, and wants more than one. name says what an item is called.
func all[P any](m *manager, what string, p *runtime.Pager[P], names func(P) []*string, want ...string) error {
	ctx := context.WithValue(m.ctx, smallPages{}, true)
	missing, pages := map[string]bool{}, 0
	for _, name := range want {
		missing[name] = true
	}
	for ; p.More(); pages++ {
		page, err := p.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		found := names(page)
		if len(found) > 2 {
			return fmt.Errorf("%s: a page of %d", what, len(found))
		}
		for _, name := range found {
			delete(missing, *name)
		}
	}
	return check(what, pages > 1 && len(missing) == 0, fmt.Sprint(pages, " pages without ", missing))
}

// namesOf is for all: what the items of a page are called.
func namesOf[T any](items []*T, name func(*T) *string) []*string {
	var names []*string
	for _, item := range items {
		names = append(names, name(item))
	}
	return names
}

// tagged runs a call and gives the ETag of its answer.
func (m *manager) tagged(call func(ctx context.Context) error) (etag string, err error) {
	var resp *http.Response
	if err := call(policy.WithCaptureResponse(m.ctx, &resp)); err != nil {
		return "", err
	}
	return resp.Header.Get("ETag"), nil
}

// ifMatch makes a call hold only for the resource with that ETag.
func (m *manager) ifMatch(etag string) context.Context {
	return policy.WithHTTPHeader(m.ctx, http.Header{"If-Match": {etag}})
}

// twoWriters updates with one ETag twice: the first wins.
func (m *manager) twoWriters(what, etag string, update func(ctx context.Context, value string) error) error {
	if err := update(m.ifMatch(etag), "first"); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fails(what, update(m.ifMatch(etag), "second"), 412, "PreconditionFailed")
}

func tags(value string) map[string]*string { return map[string]*string{"by": to.Ptr(value)} }
