package arm

import (
	"net/http"

	"github.com/lanyard-io/lanyard/internal/httpx"
)

// region is a location that clients know by name. Any other word is accepted as
// a location too: a site of one's own is as good as a region.
type region struct{ name, display, geography string }

var regions = []region{
	{"eastus", "East US", "US"}, {"eastus2", "East US 2", "US"}, {"centralus", "Central US", "US"},
	{"northcentralus", "North Central US", "US"}, {"southcentralus", "South Central US", "US"},
	{"westcentralus", "West Central US", "US"}, {"westus", "West US", "US"}, {"westus2", "West US 2", "US"}, {"westus3", "West US 3", "US"},
	{"canadacentral", "Canada Central", "Canada"}, {"canadaeast", "Canada East", "Canada"},
	{"mexicocentral", "Mexico Central", "Mexico"}, {"brazilsouth", "Brazil South", "South America"},
	{"northeurope", "North Europe", "Europe"}, {"westeurope", "West Europe", "Europe"},
	{"uksouth", "UK South", "UK"}, {"ukwest", "UK West", "UK"},
	{"francecentral", "France Central", "Europe"}, {"germanywestcentral", "Germany West Central", "Europe"},
	{"switzerlandnorth", "Switzerland North", "Europe"}, {"austriaeast", "Austria East", "Europe"},
	{"norwayeast", "Norway East", "Europe"}, {"swedencentral", "Sweden Central", "Europe"},
	{"italynorth", "Italy North", "Europe"}, {"spaincentral", "Spain Central", "Europe"}, {"polandcentral", "Poland Central", "Europe"},
	{"eastasia", "East Asia", "Asia Pacific"}, {"southeastasia", "Southeast Asia", "Asia Pacific"},
	{"japaneast", "Japan East", "Asia Pacific"}, {"japanwest", "Japan West", "Asia Pacific"},
	{"koreacentral", "Korea Central", "Asia Pacific"}, {"centralindia", "Central India", "Asia Pacific"}, {"southindia", "South India", "Asia Pacific"},
	{"australiaeast", "Australia East", "Asia Pacific"}, {"australiasoutheast", "Australia Southeast", "Asia Pacific"},
	{"newzealandnorth", "New Zealand North", "Asia Pacific"}, {"indonesiacentral", "Indonesia Central", "Asia Pacific"},
	{"southafricanorth", "South Africa North", "Africa"}, {"uaenorth", "UAE North", "Middle East"},
	{"qatarcentral", "Qatar Central", "Middle East"}, {"israelcentral", "Israel Central", "Middle East"},
}

// location is https://learn.microsoft.com/rest/api/resources/subscriptions/list-locations.
type location struct {
	ID              string           `json:"id"`
	Name            string           `json:"name"`
	Type            string           `json:"type"`
	DisplayName     string           `json:"displayName"`
	RegionalDisplay string           `json:"regionalDisplayName"`
	Metadata        locationMetadata `json:"metadata"`
}

type locationMetadata struct {
	RegionType     string `json:"regionType"`
	RegionCategory string `json:"regionCategory"`
	Geography      string `json:"geographyGroup"`
}

func (c *call) listLocations() error {
	body := listBody{Value: []any{}}
	for _, r := range regions {
		body.Value = append(body.Value, location{
			ID: c.s.sub + "/locations/" + r.name, Name: r.name, Type: "Region", DisplayName: r.display,
			RegionalDisplay: "(" + r.geography + ") " + r.display,
			Metadata:        locationMetadata{"Physical", "Recommended", r.geography},
		})
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}
