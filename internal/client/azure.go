package client

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// Cloud is where one of Azure's clouds answers; URLs without a slash at their end.
type Cloud struct {
	Name                     string
	Login, Management, Graph string
	VaultZone                string
}

// CloudByName knows Azure's clouds by the names that az and AZURE_ENVIRONMENT use.
func CloudByName(name string) (Cloud, bool) {
	switch strings.ToLower(name) {
	case "azurecloud", "azurepubliccloud":
		h := names.Public(names.Table())
		return Cloud{"AzureCloud", h.LoginURL(), h.ManagementURL(), h.GraphURL(), h.Host(names.Vault)}, true
	case "azureusgovernment", "azureusgovernmentcloud":
		return Cloud{"AzureUSGovernment", "https://login.microsoftonline.us", "https://management.usgovcloudapi.net", "https://graph.microsoft.us", "vault.usgovcloudapi.net"}, true
	case "azurechinacloud":
		return Cloud{"AzureChinaCloud", "https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn", "vault.azure.cn"}, true
	}
	return Cloud{}, false
}

// FindCloud is CloudByName, and for AzureStackCloud what a description says, the file
// that AZURE_ENVIRONMENT_FILEPATH names.
func FindCloud(name, description string) (Cloud, error) {
	if c, ok := CloudByName(name); ok {
		return c, nil
	}
	if !strings.EqualFold(name, "AzureStackCloud") {
		return Cloud{}, fault.WithHint(fmt.Errorf("no such cloud %q", name), "AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud or AzureStackCloud")
	}
	if description == "" {
		return Cloud{}, errors.New("AzureStackCloud: AZURE_ENVIRONMENT_FILEPATH names no file")
	}
	b, err := textfile.Read(description)
	if err != nil {
		return Cloud{}, err
	}
	c, err := ParseCloud(b)
	if err != nil {
		return c, fmt.Errorf("%s: %w", description, err)
	}
	return c, nil
}

// ParseCloud reads a description as AZURE_ENVIRONMENT_FILEPATH names it, with the
// fields of go-autorest's Environment.
func ParseCloud(text []byte) (Cloud, error) {
	var d struct {
		Name       string `json:"name"`
		Login      string `json:"activeDirectoryEndpoint"`
		Management string `json:"resourceManagerEndpoint"`
		Graph      string `json:"microsoftGraphEndpoint"`
		VaultZone  string `json:"keyVaultDNSSuffix"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return Cloud{}, fmt.Errorf("reading the cloud's description: %w", err)
	}
	c := Cloud{Name: d.Name, VaultZone: d.VaultZone}
	for _, e := range []struct {
		field, value string
		to           *string
	}{
		{"activeDirectoryEndpoint", d.Login, &c.Login}, {"resourceManagerEndpoint", d.Management, &c.Management},
		{"microsoftGraphEndpoint", d.Graph, &c.Graph},
	} {
		*e.to = strings.TrimRight(e.value, "/")
		if *e.to != "" && !strings.HasPrefix(*e.to, "https://") {
			return Cloud{}, fmt.Errorf("the cloud's %s is not https", e.field)
		}
	}
	if c.Login == "" || c.Management == "" {
		return Cloud{}, errors.New("the cloud's description lacks activeDirectoryEndpoint or resourceManagerEndpoint")
	}
	return c, nil
}

// AzureConfig for NewAzure.
type AzureConfig struct {
	Cloud          Cloud
	TenantID       string // default: the credential's own
	SubscriptionID string
}

// NewAzure makes a client of Azure itself, signed in as whoever the environment,
// the machine or the Azure CLI stands for. It asks nothing yet. Calls that Azure
// asks to repeat are repeated.
// https://learn.microsoft.com/azure/developer/go/sdk/authentication/credential-chains
func NewAzure(c AzureConfig) (*Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone() // the environment's proxy, as for az
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	hc := &http.Client{Transport: transport, Timeout: timeout}
	options := azcore.ClientOptions{
		Transport: hc,
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: c.Cloud.Login + "/", Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Endpoint: c.Cloud.Management, Audience: c.Cloud.Management},
		}},
		Telemetry: policy.TelemetryOptions{ApplicationID: "lanyard-cli"},
	}
	// A cloud that is not Microsoft's is unknown to Microsoft's list of clouds.
	_, known := CloudByName(c.Cloud.Name)
	credential, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: options, TenantID: c.TenantID, DisableInstanceDiscovery: !known,
	})
	if err != nil {
		return nil, fmt.Errorf("making the credential: %w", err)
	}
	zone := c.Cloud.VaultZone
	return &Client{
		at: endpoints{c.Cloud.Login, c.Cloud.Management, c.Cloud.Graph, "https://" + zone,
			func(name string) string { return "https://" + name + "." + zone }},
		http: hc, credential: credential, options: options, Subscription: c.SubscriptionID, Tenant: c.TenantID, Azure: true,
	}, nil
}

// LoginURL is the token service, without a slash at its end.
func (c *Client) LoginURL() string { return c.at.login }

// ManagementURL is the management API, without a slash at its end.
func (c *Client) ManagementURL() string { return c.at.management }

// VaultResource is what tokens for vaults are asked for.
func (c *Client) VaultResource() string { return c.at.vaultResource }

// HTTP reaches the client's endpoints and trusts their CA. It sends no credentials
// of its own.
func (c *Client) HTTP() *http.Client { return c.http }
