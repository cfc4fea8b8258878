package arm

import (
	"net/http"
	"net/url"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/names"
)

// The api-versions at which /metadata/endpoints changes its shape: from a flat
// object to an array of clouds, and to one cloud.
const (
	metadataArray  = "2018-05-01"
	metadataObject = "2022-09-01"
)

// cloud is one cloud's endpoints, as az and Terraform read them.
// https://management.azure.com/metadata/endpoints?api-version=2022-09-01
type cloud struct {
	Name            string         `json:"name"`
	Portal          string         `json:"portal"`
	Authentication  authentication `json:"authentication"`
	ResourceManager string         `json:"resourceManager"`
	Graph           string         `json:"graph"`
	GraphAudience   string         `json:"graphAudience"`
	MicrosoftGraph  string         `json:"microsoftGraphResourceId"`
	Batch           string         `json:"batch"`
	Gallery         string         `json:"gallery"`
	Media           string         `json:"media"`
	SQLManagement   string         `json:"sqlManagement"`
	ImageAliases    string         `json:"vmImageAliasDoc"`
	DataLake        string         `json:"activeDirectoryDataLake"`
	AppInsights     string         `json:"appInsightsResourceId"`
	LogAnalytics    string         `json:"logAnalyticsResourceId"`
	Databases       string         `json:"ossrdbmsResourceId"`
	Synapse         string         `json:"synapseAnalyticsResourceId"`
	Attestation     string         `json:"attestationResourceId"`
	Extensions      string         `json:"azmirrorStorageAccountResourceId"` // az looks below it for extensions
	Suffixes        suffixes       `json:"suffixes"`
}

type authentication struct {
	LoginEndpoint string   `json:"loginEndpoint"`
	Audiences     []string `json:"audiences"`
	Tenant        string   `json:"tenant"`
	Provider      string   `json:"identityProvider"`
}

type suffixes struct {
	Storage         string `json:"storage"`
	KeyVault        string `json:"keyVaultDns"`
	HSM             string `json:"mhsmDns"`
	Registry        string `json:"acrLoginServer"`
	SQL             string `json:"sqlServerHostname"`
	MySQL           string `json:"mysqlServerEndpoint"`
	MariaDB         string `json:"mariadbServerEndpoint"`
	PostgreSQL      string `json:"postgresqlServerEndpoint"`
	DataLakeStore   string `json:"azureDataLakeStoreFileSystem"`
	DataLakeCatalog string `json:"azureDataLakeAnalyticsCatalogAndJob"`
	Synapse         string `json:"synapseAnalytics"`
	Attestation     string `json:"attestationEndpoint"`
}

// flatCloud is the oldest shape.
type flatCloud struct {
	Gallery        string `json:"galleryEndpoint"`
	Graph          string `json:"graphEndpoint"`
	Portal         string `json:"portalEndpoint"`
	GraphAudience  string `json:"graphAudience"`
	Authentication struct {
		LoginEndpoint string   `json:"loginEndpoint"`
		Audiences     []string `json:"audiences"`
	} `json:"authentication"`
}

// metadata is GET /metadata/endpoints: how clients find the other surfaces.
// Nobody has to sign in for it.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fail(invalidRequestURI, "The query string has a broken percent-encoding.")
	}
	version := parameter(query, "api-version")
	if err := checkVersion(version); err != nil {
		return err
	}
	family, _ := httpx.Target(r)
	c := cloudOf(family)
	switch {
	case version >= metadataObject:
		return httpx.WriteJSON(w, http.StatusOK, c)
	case version >= metadataArray:
		return httpx.WriteJSON(w, http.StatusOK, []cloud{c})
	}
	flat := flatCloud{Gallery: c.Gallery, Graph: c.Graph, Portal: c.Portal, GraphAudience: c.GraphAudience}
	flat.Authentication.LoginEndpoint, flat.Authentication.Audiences = c.Authentication.LoginEndpoint, c.Authentication.Audiences
	return httpx.WriteJSON(w, http.StatusOK, flat)
}

// cloudOf lists a family's endpoints. Every resource among them is one that the
// token service issues tokens for. The services that Lanyard does not have get names
// in our own domain: clients want every field, and must not be sent to somebody else.
func cloudOf(family *names.Hosts) cloud {
	name, audiences, services := "Lanyard", []string{family.ManagementURL() + "/"}, &family.Services
	suffix := suffixesOf(family)
	if family.Azure {
		name, suffix = "AzureCloud", azureSuffixes
		audiences = []string{"https://management.core.windows.net/", "https://management.azure.com/"}
	}
	suffix.KeyVault = family.HostPort(family.Host(names.Vault))
	portal := "https://" + family.HostPort("portal."+family.Domain) + "/"
	return cloud{
		Name: name, Portal: portal,
		Authentication: authentication{
			LoginEndpoint: family.LoginURL() + "/", Audiences: audiences, Tenant: "common", Provider: "AAD",
		},
		ResourceManager: family.ManagementURL() + "/",
		Graph:           family.GraphURL() + "/", GraphAudience: family.GraphURL() + "/", MicrosoftGraph: family.GraphURL() + "/",
		Batch: services.Batch, Gallery: services.Gallery, Media: services.Media, SQLManagement: services.SQLManagement,
		ImageAliases: portal + "aliases.json", DataLake: services.DataLake,
		AppInsights: services.AppInsights, LogAnalytics: services.LogAnalytics,
		Databases: services.Databases, Synapse: services.Synapse, Attestation: services.Attestation,
		Extensions: family.ManagementURL(), Suffixes: suffix,
	}
}

// suffixesOf has the ends of resources' host names. A storage account's has the kind
// of service in front: ACCOUNT.blob.DOMAIN.
func suffixesOf(family *names.Hosts) suffixes {
	host := func(service string) string { return family.HostPort(service + "." + family.Domain) }
	return suffixes{
		Storage: family.HostPort(family.Domain), HSM: host("managedhsm"),
		Registry: host("azurecr"), SQL: host("database"), MySQL: host("mysql"), MariaDB: host("mariadb"),
		PostgreSQL: host("postgres"), DataLakeStore: host("datalakestore"), DataLakeCatalog: host("datalakeanalytics"),
		Synapse: host("synapse"), Attestation: host("attest"),
	}
}

// azureSuffixes are Microsoft's, as clients have them built in.
var azureSuffixes = suffixes{
	Storage: "core.windows.net", HSM: "managedhsm.azure.net",
	Registry: "azurecr.io", SQL: "database.windows.net", MySQL: "mysql.database.azure.com",
	MariaDB: "mariadb.database.azure.com", PostgreSQL: "postgres.database.azure.com",
	DataLakeStore: "azuredatalakestore.net", DataLakeCatalog: "azuredatalakeanalytics.net",
	Synapse: "dev.azuresynapse.net", Attestation: "attest.azure.net",
}
