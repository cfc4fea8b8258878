package azcli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// Settings of az that setup changes. The ones under "lanyard" are our own notes,
// kept where the settings are, so that teardown finds them.
const (
	discovery      = "core.instance_discovery"
	notedDiscovery = "lanyard.was_instance_discovery"
	notedCloud     = "lanyard.was_cloud"
	unset          = "unset"
	builtInCloud   = "AzureCloud"
	secretPattern  = ".az-secret.*"
)

// Config for New.
type Config struct {
	// Program is the Azure CLI's path; see Find.
	Program string
	// Env is the environment that it runs in; it must lead to the server.
	Env []string
	// Cloud is the server's name among az's clouds.
	Cloud string
	// Address is the server's public one. With AzureNames it answers for Azure's own
	// cloud, and that one is used.
	Address    string
	AzureNames bool
	// Who signs in, and the subscription that becomes az's own.
	TenantID, SubscriptionID, ClientID, ClientSecret string
	// SecretDir is where the secret is for a moment, in a file; default the system's
	// directory for such files.
	SecretDir string
	// Say is told every command that is run, and what is left to do.
	Say func(format string, args ...any)
}

// CLI is one Azure CLI that a server is registered with.
type CLI struct{ c Config }

// Find finds the program by its name or path.
func Find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("no Azure CLI: %w", err), "install it (pip install azure-cli), or name it with --az PROGRAM")
	}
	return path, nil
}

// New runs nothing yet.
func New(c Config) *CLI {
	if c.AzureNames {
		c.Cloud = builtInCloud
	}
	return &CLI{c}
}

// Cloud is the server's name among az's clouds.
func (z *CLI) Cloud() string { return z.c.Cloud }

// run shows a command and runs it. What stands in place of a secret goes into hide.
func (z *CLI) run(ctx context.Context, hide string, args ...string) ([]byte, error) {
	words := []string{"az"}
	for _, arg := range args {
		if hide != "" && arg == hide {
			arg = "***"
		}
		words = append(words, shell.Quote(arg))
	}
	z.c.Say("$ %s", strings.Join(words, " "))
	return z.quiet(ctx, args...)
}

// quiet is run for questions that change nothing.
func (z *CLI) quiet(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, z.c.Program, append(args, "--only-show-errors")...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = z.c.Env, &out, &errs
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(errs.String()); text != "" {
			err = errors.New(strings.TrimPrefix(text, "ERROR: "))
		}
		return nil, fmt.Errorf("az %s: %w", strings.Join(args[:min(2, len(args))], " "), err)
	}
	return out.Bytes(), nil
}

// Setup registers the server as a cloud, makes it the active one and signs in.
func (z *CLI) Setup(ctx context.Context) error {
	clouds, active, err := z.clouds(ctx)
	if err != nil {
		return err
	}
	if !z.c.AzureNames {
		if err := z.register(ctx, slices.Contains(clouds, z.c.Cloud), active); err != nil {
			return err
		}
	}
	if active != z.c.Cloud {
		if _, err := z.run(ctx, "", "cloud", "set", "--name", z.c.Cloud); err != nil {
			return err
		}
	}
	if err := z.login(ctx); err != nil {
		return err
	}
	_, err = z.run(ctx, "", "account", "set", "--subscription", z.c.SubscriptionID)
	return err
}

// clouds lists az's clouds, and says which one is active.
func (z *CLI) clouds(ctx context.Context) (all []string, active string, err error) {
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

// register makes the cloud, or corrects it when az knows it already.
func (z *CLI) register(ctx context.Context, known bool, active string) error {
	n, err := names.New(names.Config{Address: z.c.Address})
	if err != nil {
		return err
	}
	config, err := cloudConfig(n.Own())
	if err != nil {
		return err
	}
	verb, settings := "update", []string{discovery + "=false"}
	if !known {
		was, err := z.setting(ctx, discovery)
		if err != nil {
			return err
		}
		verb, settings = "register", append(settings, notedDiscovery+"="+was, notedCloud+"="+active)
	}
	if _, err := z.run(ctx, "", append([]string{"config", "set"}, settings...)...); err != nil {
		return err
	}
	_, err = z.run(ctx, "", "cloud", verb, "--name", z.c.Cloud, "--cloud-config", config)
	return err
}

// cloudConfig names every endpoint that the server announces: what an older az
// discovers by itself lacks the vaults, Graph and more.
func cloudConfig(s *names.Hosts) (string, error) {
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
		"suffixes": map[string]string{"keyvaultDns": "." + s.HostPort(s.Host(names.Vault)), "storageEndpoint": s.HostPort(s.Domain)},
	})
	return string(b), err
}

// setting reads one of az's settings; "unset" when it has none.
func (z *CLI) setting(ctx context.Context, name string) (string, error) {
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
	return unset, nil
}

// login signs in as the admin. The secret goes through a file: everybody on the
// machine can read a command line. az takes @FILE for any argument.
func (z *CLI) login(ctx context.Context) error {
	f, err := os.CreateTemp(z.c.SecretDir, secretPattern) // made 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(z.c.ClientSecret)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	secret := "@" + f.Name()
	_, err = z.run(ctx, secret, "login", "--service-principal", "--username", z.c.ClientID, "--password", secret, "--tenant", z.c.TenantID)
	return err
}

// Teardown signs out, removes the cloud and brings back what Setup changed.
func (z *CLI) Teardown(ctx context.Context) error {
	if z.c.AzureNames {
		return z.logout(ctx)
	}
	clouds, active, err := z.clouds(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(clouds, z.c.Cloud) {
		z.c.Say("az has no cloud %s: nothing to do", z.c.Cloud)
		return nil
	}
	wasCloud, err := z.setting(ctx, notedCloud)
	if err != nil {
		return err
	}
	if wasCloud == unset {
		wasCloud = builtInCloud
	}
	if active != z.c.Cloud { // az signs out of the active cloud only
		wasCloud = active
		if _, err := z.run(ctx, "", "cloud", "set", "--name", z.c.Cloud); err != nil {
			return err
		}
	}
	if err := z.logout(ctx); err != nil {
		return err
	}
	if _, err := z.run(ctx, "", "cloud", "set", "--name", wasCloud); err != nil {
		return err
	}
	if _, err := z.run(ctx, "", "cloud", "unregister", "--name", z.c.Cloud); err != nil {
		return err
	}
	return z.restoreSettings(ctx)
}

func (z *CLI) logout(ctx context.Context) error {
	accounts, err := z.quiet(ctx, "account", "list", "--output", "json")
	if err != nil || !bytes.Contains(accounts, []byte(z.c.ClientID)) {
		return err // signed out already
	}
	_, err = z.run(ctx, "", "logout", "--username", z.c.ClientID)
	return err
}

// restoreSettings gives back what setup noted.
func (z *CLI) restoreSettings(ctx context.Context) error {
	was, err := z.setting(ctx, notedDiscovery)
	if err != nil {
		return err
	}
	gone := []string{"config", "unset", notedDiscovery, notedCloud}
	if was == unset {
		gone = append(gone, discovery)
	} else if _, err := z.run(ctx, "", "config", "set", discovery+"="+was); err != nil {
		return err
	}
	_, err = z.run(ctx, "", gone...)
	return err
}
