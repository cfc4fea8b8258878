package main

import (
	"cmp"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/azcli"
	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// azureFlags choose Azure itself in place of a Lanyard server.
type azureFlags struct{ env, subscription, tenant string }

func (z *azureFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&z.env, "azure-env", "", "ask Azure, not a Lanyard server: AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud, or `AzureStackCloud` with AZURE_ENVIRONMENT_FILEPATH")
	f.StringVar(&z.subscription, "subscription", "", "`id` of the subscription (default the server's; in Azure AZURE_SUBSCRIPTION_ID or az's own)")
	f.StringVar(&z.tenant, "tenant", "", "`id` of the tenant (default the server's; in Azure the credential's own)")
}

// server signs in to Azure or to the Lanyard server.
func (a *app) serverFor(z azureFlags) (*manage.Client, error) {
	if z.env == "" {
		c, err := a.connect()
		if err != nil {
			return nil, err
		}
		if z.subscription != "" {
			c.Subscription = z.subscription
		}
		return c, nil
	}
	cloud, err := client.FindCloud(z.env, a.Getenv(wi.CloudFileEnv))
	if err != nil {
		return nil, err
	}
	if z.subscription == "" {
		z.subscription = a.Getenv("AZURE_SUBSCRIPTION_ID")
	}
	if z.subscription == "" {
		z.subscription = azcli.Subscription(cmp.Or(a.Getenv("AZURE_CONFIG_DIR"), filepath.Join(a.Getenv("HOME"), ".azure")), cloud.Name)
	}
	if z.subscription == "" {
		return nil, fault.WithHint(errors.New("no subscription is chosen"), "--subscription ID, or az account set")
	}
	if z.tenant == "" {
		z.tenant = a.Getenv(wi.TenantIDEnv)
	}
	c, err := client.NewAzure(client.AzureConfig{Cloud: cloud, TenantID: z.tenant, SubscriptionID: z.subscription})
	return manage.New(c), err
}
