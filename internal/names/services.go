package names

import "strings"

// Services are the resources of services that are not here, which clients expect a
// cloud to have: Terraform does not start without some. The metadata endpoint
// announces them, and tokens for them may be had; no surface of ours takes those.
type Services struct {
	Batch, Gallery, Media, SQLManagement, DataLake             string
	AppInsights, LogAnalytics, Databases, Synapse, Attestation string
}

// azureServices are Microsoft's, as clients have them built in.
// https://management.azure.com/metadata/endpoints?api-version=2022-09-01
var azureServices = Services{
	Batch: "https://batch.core.windows.net/", Gallery: "https://gallery.azure.com/", Media: "https://rest.media.azure.net",
	SQLManagement: "https://management.core.windows.net:8443/", DataLake: "https://datalake.azure.net/",
	AppInsights: "https://api.applicationinsights.io", LogAnalytics: "https://api.loganalytics.io",
	Databases: "https://ossrdbms-aad.database.windows.net", Synapse: "https://dev.azuresynapse.net",
	Attestation: "https://attest.azure.net",
}

// services are those of our own domain: nobody is sent to somebody else's.
func (h *Hosts) services() Services {
	at := func(service string) string { return h.url(service+"."+h.Domain) + "/" }
	return Services{
		Batch: at("batch"), Gallery: at("gallery"), Media: at("media"),
		SQLManagement: at("sql-management"), DataLake: at("datalake"),
		AppInsights: at("api.applicationinsights"), LogAnalytics: at("api.loganalytics"),
		Databases: at("ossrdbms"), Synapse: at("synapse"), Attestation: at("attestation"),
	}
}

// Announced says whether a resource is one of those Services, in any family; one
// trailing slash more or less does not matter.
func (n *Names) Announced(resource string) bool {
	return n.announced[strings.TrimSuffix(resource, "/")]
}

func (n *Names) announce(s *Services) {
	for _, r := range []string{
		s.Batch, s.Gallery, s.Media, s.SQLManagement, s.DataLake,
		s.AppInsights, s.LogAnalytics, s.Databases, s.Synapse, s.Attestation,
	} {
		n.announced[strings.TrimSuffix(r, "/")] = true
	}
}
