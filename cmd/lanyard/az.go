package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/azcli"
	"github.com/lanyard-io/lanyard/internal/sdkenv"
	"github.com/lanyard-io/lanyard/internal/server"
)

func newAZCmd(a *app) *cobra.Command {
	var c azcli.Config
	cmd := noun("az", "The Azure CLI: point it at the server and back", nil)
	cmd.PersistentFlags().StringVar(&c.Cloud, "cloud", "Lanyard", "`name` of the cloud in az")
	cmd.PersistentFlags().StringVar(&c.Program, "az", "az", "the Azure CLI's `program`")
	teardown := &cobra.Command{
		Use: "teardown", Short: "Sign out, and remove the cloud and the settings that setup made",
		Example: `  lanyard az teardown`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			z, err := a.az(&c)
			if err != nil {
				return err
			}
			return z.Teardown(cmd.Context())
		},
	}
	cmd.AddCommand(newAZSetupCmd(a, &c), teardown)
	return cmd
}

func newAZSetupCmd(a *app, c *azcli.Config) *cobra.Command {
	return &cobra.Command{
		Use: "setup", Short: "Register the server as a cloud of az, and sign in as the admin",
		Long: `Register the server as a cloud of the Azure CLI, make it the active one, turn off the
CLI's question to a public host about the sign-in host, and sign in as the admin.
Your other clouds and their sign-ins stay as they are. Every az command that is run
is printed, so that you can do the same by hand.

In names mode (lanyard up --azure-names) the built-in AzureCloud is used, and only
the sign-in is done.

For a server elsewhere, name it with --server, --credentials and --ca-file. az then
has the proxy and the CAs of this shell only.`,
		Example: `  eval "$(lanyard env)"
  lanyard az setup
  lanyard az setup --server lanyard.example.org --credentials admin.json --ca-file ca-bundle.pem
  az group create --name lab --location eastus`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			z, err := a.az(c)
			if err != nil {
				return err
			}
			if err := z.Setup(cmd.Context()); err != nil {
				return err
			}
			if a.server != "" {
				a.say("az is signed in to %s; each shell that uses it needs the server's CA in REQUESTS_CA_BUNDLE", z.Cloud())
				return nil
			}
			a.say("az is signed in to %s; in each shell that uses it: %s", z.Cloud(), evalLine(a))
			return nil
		},
	}
}

// az is the Azure CLI with the server that the flags name: the data directory's, with
// the environment that `lanyard env` prints, or one elsewhere.
func (a *app) az(c *azcli.Config) (*azcli.CLI, error) {
	var err error
	if c.Program, err = azcli.Find(c.Program); err != nil {
		return nil, err
	}
	c.Env, c.Say = os.Environ(), a.say
	if a.server != "" {
		c.Address = a.server
		if a.caFile != "" {
			c.Env = append(c.Env, "REQUESTS_CA_BUNDLE="+a.caFile)
		}
	} else {
		state, err := a.state()
		if err != nil {
			return nil, err
		}
		vars, err := a.env(sdkenv.Config{}, false)
		if err != nil {
			return nil, err
		}
		for _, v := range vars {
			c.Env = append(c.Env, v.Name+"="+v.Value)
		}
		c.Address, c.AzureNames, c.SecretDir = state.Address, state.AzureNames, a.dataDir
	}
	admin, err := server.ReadAdmin(a.credentialsPath())
	if err != nil {
		return nil, err
	}
	c.TenantID, c.SubscriptionID, c.ClientID, c.ClientSecret = admin.TenantID, admin.SubscriptionID, admin.ClientID, admin.ClientSecret
	return azcli.New(*c), nil
}
