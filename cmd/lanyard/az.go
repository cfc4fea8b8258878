package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// azRun runs the Azure CLI, and shows what it runs.
type azRun struct {
	a     *app
	path  string
	env   []string
	state *server.State
	admin *server.Admin
}

// Settings of az that setup changes. The ones under "lanyard" are our own notes,
// kept where the settings are, so that teardown finds them.
const (
	azDiscovery     = "core.instance_discovery"
	azWasDiscovery  = "lanyard.was_instance_discovery"
	azWasCloud      = "lanyard.was_cloud"
	azUnsetValue    = "unset"
	azBuiltInCloud  = "AzureCloud"
	defaultAZCloud  = "Lanyard"
	azSecretPattern = ".az-secret.*"
)

func newAZCmd(a *app) *cobra.Command {
	var cloud, path string
	cmd := noun("az", "The Azure CLI: point it at the server and back", nil)
	cmd.PersistentFlags().StringVar(&cloud, "cloud", defaultAZCloud, "`name` of the cloud in az")
	cmd.PersistentFlags().StringVar(&path, "az", "az", "the Azure CLI's `program`")
	setup := &cobra.Command{
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
			z, err := a.az(path)
			if err != nil {
				return err
			}
			return z.setup(cmd.Context(), cloud)
		},
	}
	teardown := &cobra.Command{
		Use: "teardown", Short: "Sign out, and remove the cloud and the settings that setup made",
		Example: `  lanyard az teardown`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			z, err := a.az(path)
			if err != nil {
				return err
			}
			return z.teardown(cmd.Context(), cloud)
		},
	}
	cmd.AddCommand(setup, teardown)
	return cmd
}

// az finds the program, and gives it the environment that `lanyard env` prints.
func (a *app) az(path string) (*azRun, error) {
	found, err := exec.LookPath(path)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("no Azure CLI: %w", err), "install it (pip install azure-cli), or name it with --az PROGRAM")
	}
	z := &azRun{a: a, path: found, env: os.Environ()}
	if a.server != "" {
		z.state = &server.State{Address: a.server}
		if a.caFile != "" {
			z.env = append(z.env, "REQUESTS_CA_BUNDLE="+a.caFile)
		}
		z.admin, err = server.ReadAdmin(a.credentialsPath())
		return z, err
	}
	if z.state, err = a.state(); err != nil {
		return nil, err
	}
	if z.admin, err = server.ReadAdmin(a.credentialsPath()); err != nil {
		return nil, err
	}
	vars, err := a.env(false, false)
	if err != nil {
		return nil, err
	}
	for _, v := range vars {
		z.env = append(z.env, v.name+"="+v.value)
	}
	return z, nil
}

// run shows a command and runs it. What stands in place of a secret goes into hide.
func (z *azRun) run(ctx context.Context, hide string, args ...string) ([]byte, error) {
	words := []string{"az"}
	for _, arg := range args {
		if hide != "" && arg == hide {
			arg = "***"
		}
		words = append(words, shell.Quote(arg))
	}
	z.a.say("$ %s", strings.Join(words, " "))
	return z.quiet(ctx, args...)
}

// quiet is run for questions that change nothing.
func (z *azRun) quiet(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, z.path, append(args, "--only-show-errors")...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = z.env, &out, &errs
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(errs.String()); text != "" {
			err = errors.New(strings.TrimPrefix(text, "ERROR: "))
		}
		return nil, fmt.Errorf("az %s: %w", strings.Join(args[:min(2, len(args))], " "), err)
	}
	return out.Bytes(), nil
}

func (z *azRun) setup(ctx context.Context, cloud string) error {
	if z.state.AzureNames {
		cloud = azBuiltInCloud
	}
	clouds, active, err := z.clouds(ctx)
	if err != nil {
		return err
	}
	if !z.state.AzureNames {
		if err := z.register(ctx, cloud, z.state.Address, clouds, active); err != nil {
			return err
		}
	}
	if active != cloud {
		if _, err := z.run(ctx, "", "cloud", "set", "--name", cloud); err != nil {
			return err
		}
	}
	if err := z.login(ctx); err != nil {
		return err
	}
	if _, err := z.run(ctx, "", "account", "set", "--subscription", z.admin.SubscriptionID); err != nil {
		return err
	}
	if z.a.server != "" {
		z.a.say("az is signed in to %s; each shell that uses it needs the server's CA in REQUESTS_CA_BUNDLE", cloud)
		return nil
	}
	z.a.say("az is signed in to %s; in each shell that uses it: %s", cloud, evalLine(z.a))
	return nil
}

// clouds lists az's clouds, and says which one is active.
func (z *azRun) clouds(ctx context.Context) (all []string, active string, err error) {
	b, err := z.quiet(ctx, "cloud", "list", "--output", "json")
	if err != nil {
		return nil, "", err
	}
	var list []struct {
		Name   string `json:"name"`
		Active bool   `json:"isActive"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, "", fmt.Errorf("reading az's clouds: %w", err)
	}
	for _, c := range list {
		all = append(all, c.Name)
		if c.Active {
			active = c.Name
		}
	}
	return all, active, nil
}

// register makes the cloud, or corrects it when it is there already.
func (z *azRun) register(ctx context.Context, cloud, address string, clouds []string, active string) error {
	n, err := names.New(names.Config{Address: address})
	if err != nil {
		return err
	}
	config, err := cloudConfig(n.Own())
	if err != nil {
		return err
	}
	verb, known := "register", false
	for _, c := range clouds {
		if c == cloud {
			verb, known = "update", true
		}
	}
	settings := []string{azDiscovery + "=false"}
	if !known {
		was, err := z.setting(ctx, azDiscovery)
		if err != nil {
			return err
		}
		settings = append(settings, azWasDiscovery+"="+was, azWasCloud+"="+active)
	}
	if _, err := z.run(ctx, "", append([]string{"config", "set"}, settings...)...); err != nil {
		return err
	}
	_, err = z.run(ctx, "", "cloud", verb, "--name", cloud, "--cloud-config", config)
	return err
}

// cloudConfig names every endpoint that the server announces: what an older az
// discovers by itself lacks the vaults, Graph and more.
func cloudConfig(s *names.Set) (string, error) {
	b, err := json.Marshal(map[string]any{
		"endpoints": map[string]string{
			"activeDirectory":                s.LoginURL(),
			"activeDirectoryResourceId":      s.ManagementURL() + "/",
			"activeDirectoryGraphResourceId": s.GraphURL() + "/",
			"microsoftGraphResourceId":       s.GraphURL() + "/",
			"resourceManager":                s.ManagementURL() + "/",
			"management":                     s.ManagementURL() + "/",
			// az looks for extensions below it, for this cloud only.
			"azmirrorStorageAccountResourceId": s.ManagementURL(),

			"batchResourceId": s.Services.Batch, "mediaResourceId": s.Services.Media,
			"activeDirectoryDataLakeResourceId": s.Services.DataLake, "ossrdbmsResourceId": s.Services.Databases,
			"appInsightsResourceId": s.Services.AppInsights, "logAnalyticsResourceId": s.Services.LogAnalytics,
			"synapseAnalyticsResourceId": s.Services.Synapse, "attestationResourceId": s.Services.Attestation,
		},
		"suffixes": map[string]string{"keyvaultDns": "." + s.HostPort(s.VaultZone), "storageEndpoint": s.HostPort(s.Domain)},
	})
	return string(b), err
}

// setting reads one of az's settings; "unset" when it has none.
func (z *azRun) setting(ctx context.Context, name string) (string, error) {
	section, key, _ := strings.Cut(name, ".")
	b, err := z.quiet(ctx, "config", "get", "--output", "json")
	if err != nil {
		return "", err
	}
	var all map[string][]struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return "", fmt.Errorf("reading az's settings: %w", err)
	}
	for _, s := range all[section] {
		if s.Name == key {
			return s.Value, nil
		}
	}
	return azUnsetValue, nil
}

// login signs in as the admin. The secret goes through a file: everybody on the
// machine can read a command line. az takes @FILE for any argument.
func (z *azRun) login(ctx context.Context) error {
	dir := z.a.dataDir
	if z.a.server != "" {
		dir = "" // there may be none here
	}
	f, err := os.CreateTemp(dir, azSecretPattern) // made 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(z.admin.ClientSecret)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	secret := "@" + f.Name()
	_, err = z.run(ctx, secret, "login", "--service-principal", "--username", z.admin.ClientID, "--password", secret, "--tenant", z.admin.TenantID)
	return err
}

func (z *azRun) teardown(ctx context.Context, cloud string) error {
	if z.state.AzureNames {
		return z.logout(ctx)
	}
	clouds, active, err := z.clouds(ctx)
	if err != nil {
		return err
	}
	known := false
	for _, c := range clouds {
		known = known || c == cloud
	}
	if !known {
		z.a.say("az has no cloud %s: nothing to do", cloud)
		return nil
	}
	wasCloud, err := z.setting(ctx, azWasCloud)
	if err != nil {
		return err
	}
	if wasCloud == azUnsetValue {
		wasCloud = azBuiltInCloud
	}
	if active != cloud { // az signs out of the active cloud only
		wasCloud = active
		if _, err := z.run(ctx, "", "cloud", "set", "--name", cloud); err != nil {
			return err
		}
	}
	if err := z.logout(ctx); err != nil {
		return err
	}
	if _, err := z.run(ctx, "", "cloud", "set", "--name", wasCloud); err != nil {
		return err
	}
	if _, err := z.run(ctx, "", "cloud", "unregister", "--name", cloud); err != nil {
		return err
	}
	return z.restoreSettings(ctx)
}

func (z *azRun) logout(ctx context.Context) error {
	accounts, err := z.quiet(ctx, "account", "list", "--output", "json")
	if err != nil || !bytes.Contains(accounts, []byte(z.admin.ClientID)) {
		return err // signed out already
	}
	_, err = z.run(ctx, "", "logout", "--username", z.admin.ClientID)
	return err
}

// restoreSettings gives back what setup noted.
func (z *azRun) restoreSettings(ctx context.Context) error {
	was, err := z.setting(ctx, azWasDiscovery)
	if err != nil {
		return err
	}
	gone := []string{"config", "unset", azWasDiscovery, azWasCloud}
	if was == azUnsetValue {
		gone = append(gone, azDiscovery)
	} else if _, err := z.run(ctx, "", "config", "set", azDiscovery+"="+was); err != nil {
		return err
	}
	_, err = z.run(ctx, "", gone...)
	return err
}
