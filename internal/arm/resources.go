package arm

import (
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
	"github.com/lanyard-io/lanyard/internal/store"
)

var resourceVersions = []string{"2024-11-01", "2022-12-01", "2021-04-01", "2019-11-01", "2015-01-01"}

// resourceRows is Microsoft.Resources, the types outside any provider.
func resourceRows() []*row {
	return []*row{
		{
			name: "tenant", typ: "Microsoft.Resources/tenants", versions: resourceVersions,
			verbs: map[string]verb{"LIST": {do: (*call).listTenants, open: true}},
		},
		{
			name: "subscription", typ: "Microsoft.Resources/subscriptions", versions: resourceVersions,
			verbs: map[string]verb{
				"GET":  {do: (*call).getSubscription, open: true},
				"LIST": {do: (*call).listSubscriptions, open: true},
			},
		},
		{
			name: "location", typ: "Microsoft.Resources/subscriptions/locations", versions: resourceVersions,
			verbs: map[string]verb{"LIST": {do: (*call).listLocations, open: true}},
		},
		groupRow(), tagsRow(), tagNamesRow(),
		{
			name: "resource", typ: "Microsoft.Resources/subscriptions/resources", versions: resourceVersions,
			in: inGroup, filtered: true,
			verbs: map[string]verb{"LIST": {do: (*call).listResources, open: true}},
		},
		{
			name: "resource", typ: "Microsoft.Resources/subscriptions/resourceGroups/resources", versions: resourceVersions,
			in: inGroup, filtered: true,
			verbs: map[string]verb{"LIST": {do: (*call).listResources, open: true}},
		},
		{
			name: "operation", typ: "Microsoft.Resources/subscriptions/operationresults", versions: resourceVersions,
			verbs: map[string]verb{"GET": {do: (*call).getOperation, open: true}},
		},
	}
}

// tenant is an item of GET /tenants.
type tenant struct {
	ID             string   `json:"id"`
	TenantID       string   `json:"tenantId"`
	CountryCode    string   `json:"countryCode"`
	DisplayName    string   `json:"displayName"`
	DefaultDomain  string   `json:"defaultDomain"`
	Domains        []string `json:"domains"`
	TenantCategory string   `json:"tenantCategory"`
	TenantType     string   `json:"tenantType"`
}

func (c *call) listTenants() error {
	domain := c.s.names.Own().Domain
	return httpx.WriteJSON(c.w, http.StatusOK, listBody{Value: []any{tenant{
		ID: "/tenants/" + c.s.tenantID, TenantID: c.s.tenantID, DisplayName: c.s.subscriptionName,
		DefaultDomain: domain, Domains: []string{domain}, TenantCategory: "Home", TenantType: "AAD",
	}}})
}

// subscription is https://learn.microsoft.com/rest/api/resources/subscriptions/get.
type subscription struct {
	ID                   string   `json:"id"`
	SubscriptionID       string   `json:"subscriptionId"`
	TenantID             string   `json:"tenantId"`
	DisplayName          string   `json:"displayName"`
	State                string   `json:"state"`
	AuthorizationSource  string   `json:"authorizationSource"`
	ManagedByTenants     []any    `json:"managedByTenants"`
	SubscriptionPolicies policies `json:"subscriptionPolicies"`
}

type policies struct {
	LocationPlacementID string `json:"locationPlacementId"`
	QuotaID             string `json:"quotaId"`
	SpendingLimit       string `json:"spendingLimit"`
}

func (c *call) theSubscription() subscription {
	return subscription{
		ID: c.s.sub, SubscriptionID: c.s.subscriptionID, TenantID: c.s.tenantID,
		DisplayName: c.s.subscriptionName, State: "Enabled", AuthorizationSource: "RoleBased",
		ManagedByTenants: []any{}, SubscriptionPolicies: policies{"Public_2014-09-01", "PayAsYouGo_2014-09-01", "Off"},
	}
}

// seesSubscription says whether the caller holds any role in the subscription:
// as in Azure, that is enough to know of it, and nothing else is shown.
func (c *call) seesSubscription() bool {
	if c.s.gate.Allowed(c.view, c.caller, "Microsoft.Resources/subscriptions/read", c.s.sub) {
		return true
	}
	sub, err := resid.Parse(c.s.sub)
	if err != nil {
		return false
	}
	for e := range c.view.Lookup(model.RoleIndex(c.caller.ObjectID)) {
		if a, ok := e.Value.(*model.RoleAssignment); ok {
			if scope, err := resid.Parse(a.Scope); err == nil && (scope.IsRoot() || scope.Within(sub)) {
				return true
			}
		}
	}
	return false
}

func (c *call) listSubscriptions() error {
	body := struct {
		Value []subscription `json:"value"`
		Count struct {
			Type  string `json:"type"`
			Value int    `json:"value"`
		} `json:"count"`
	}{Value: []subscription{}}
	if c.seesSubscription() {
		body.Value = append(body.Value, c.theSubscription())
	}
	body.Count.Type, body.Count.Value = "Total", len(body.Value)
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

func (c *call) getSubscription() error {
	if !c.seesSubscription() {
		return c.s.gate.Check(c.r.Context(), c.view, c.caller, c.op.action, c.op.scope.String())
	}
	return httpx.WriteJSON(c.w, http.StatusOK, c.theSubscription())
}

// getOperation answers for a long-running operation. Each of ours has ended
// before its 202 was sent, so there is nothing to wait for.
func (c *call) getOperation() error {
	if !model.ValidUUID(c.id.Name()) {
		return c.notFound(c.id)
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// accepted answers 202 with a Location to poll. Clients wait for half a minute
// between polls when no Retry-After tells them otherwise.
func (c *call) accepted(results string) error {
	c.w.Header().Set("Location", c.url(results+"/"+model.NewUUID(), nil))
	c.w.Header().Set("Retry-After", "1")
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// listResources is /resources: every tracked resource, or those that $filter picks.
func (c *call) listResources() error {
	terms, err := c.filter()
	if err != nil {
		return err
	}
	rows := c.s.rows
	for _, t := range terms {
		if t.call || !resourceFields[t.name] {
			return badFilter("this list cannot be filtered by '%s'", t.name)
		}
	}
	tracked := func(r *row) bool { return r.tracked && r.in&inGroup != 0 && r.stored() }
	var picked []*row
	for _, r := range rows {
		if tracked(r) && matchesType(r, terms) {
			picked = append(picked, r)
		}
	}
	keep := func(_ *row, e *store.Entry) bool { return matchesResource(e, terms) }
	return c.listAll(picked, keep, func(r *row, e *store.Entry) any {
		out := c.show(r, e)
		out.Properties = nil
		return out
	})
}

var resourceFields = map[string]bool{
	"resourcetype": true, "name": true, "location": true, "resourcegroup": true, "tagname": true, "tagvalue": true,
}

func matchesType(r *row, terms []term) bool {
	for _, t := range terms {
		if t.name == "resourcetype" && !strings.EqualFold(t.value, r.typ) {
			return false
		}
	}
	return true
}

func matchesResource(e *store.Entry, terms []term) bool {
	of, ok := e.Value.(interface{ Common() *model.Resource })
	if !ok {
		return false
	}
	common := of.Common()
	for _, t := range terms {
		switch t.name {
		case "name":
			ok = strings.EqualFold(common.Name, t.value)
		case "location":
			ok = common.Location == normalLocation(t.value)
		case "resourcegroup":
			id, err := resid.Parse(common.ID)
			ok = err == nil && strings.EqualFold(id.Group(), t.value)
		case "tagname":
			_, ok = tag(common.Tags, t.value)
		case "tagvalue":
			ok = tagged(common.Tags, terms, t.value)
		}
		if !ok {
			return false
		}
	}
	return true
}

// tagged says whether the tag that a tagName term names has the value; without
// such a term, whether any has.
func tagged(tags map[string]string, terms []term, value string) bool {
	for _, t := range terms {
		if t.name == "tagname" {
			v, ok := tag(tags, t.value)
			return ok && v == value
		}
	}
	for _, v := range tags {
		if v == value {
			return true
		}
	}
	return false
}

func tag(tags map[string]string, name string) (string, bool) {
	for k, v := range tags {
		if strings.EqualFold(k, name) {
			return v, true
		}
	}
	return "", false
}
