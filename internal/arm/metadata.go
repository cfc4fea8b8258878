package arm

import (
	"net/http"
	"net/url"
	"strings"

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
	set, _ := httpx.Target(r)
	c := cloudOf(set)
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

// cloudOf lists a family's endpoints. The services that Lanyard does not have
// get names in the same domain: clients want every field, and must not be sent
// to somebody else's service.
func cloudOf(set *names.Set) cloud {
	domain, audiences := strings.TrimPrefix(set.VaultZone, "vault."), []string{set.ManagementURL() + "/"}
	name := "Lanyard"
	if set.Azure {
		name, domain = "AzureCloud", "azure.com"
		audiences = []string{"https://management.core.windows.net/", "https://management.azure.com/"}
	}
	at := func(service string) string { return "https://" + set.HostPort(service+"."+domain) + "/" }
	host := func(service string) string { return set.HostPort(service + "." + domain) }
	return cloud{
		Name: name, Portal: at("portal"),
		Authentication: authentication{
			LoginEndpoint: set.LoginURL() + "/", Audiences: audiences, Tenant: "common", Provider: "AAD",
		},
		ResourceManager: set.ManagementURL() + "/",
		Graph:           set.GraphURL() + "/", GraphAudience: set.GraphURL() + "/", MicrosoftGraph: set.GraphURL() + "/",
		Batch: at("batch"), Gallery: at("gallery"), Media: at("media"), SQLManagement: at("sql-management"),
		ImageAliases: at("portal") + "aliases.json", DataLake: at("datalake"),
		AppInsights: at("api.applicationinsights"), LogAnalytics: at("api.loganalytics"),
		Databases: at("ossrdbms"), Synapse: at("synapse"), Attestation: at("attestation"),
		Extensions: set.ManagementURL(),
		Suffixes: suffixes{
			Storage: host("storage"), KeyVault: set.HostPort(set.VaultZone), HSM: host("managedhsm"),
			Registry: host("azurecr"), SQL: host("database"), MySQL: host("mysql"), MariaDB: host("mariadb"),
			PostgreSQL: host("postgres"), DataLakeStore: host("datalakestore"), DataLakeCatalog: host("datalakeanalytics"),
			Synapse: host("synapse"), Attestation: host("attest"),
		},
	}
}
