package arm

import (
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const credentialType = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"

var identityVersions = []string{"2024-11-30", "2023-01-31", "2022-01-31-preview", "2018-11-30"}

// identityRows is Microsoft.ManagedIdentity.
func identityRows() []*row {
	return []*row{
		{
			name: "identity", typ: "Microsoft.ManagedIdentity/userAssignedIdentities",
			versions: identityVersions,
			in:       inGroup, listed: inGroup | inSubscription, tracked: true, lowerGroup: true, patch: true,
			checkName: checkIdentityName, put: putIdentity, shape: shapeIdentity, remove: removeIdentity,
			actions: map[string]verb{"listassociatedresources": {do: (*call).listAssociated}},
		},
		{
			name: "credential", typ: credentialType,
			versions: []string{"2024-11-30", "2023-01-31", "2022-01-31-preview"},
			in:       inGroup, listed: inGroup, lowerGroup: true,
			checkName: checkCredentialName, put: putCredential, shape: shapeCredential,
		},
	}
}

func checkIdentityName(name string) error {
	if !model.ValidIdentityName(name) {
		return fail(invalidResourceName, "The identity name '%s' is invalid: it must have 3 to 128 letters, digits, '-' and '_', "+
			"and begin with a letter or digit.", name)
	}
	return nil
}

// putIdentity refuses an isolation scope: it would promise that the identity stays in
// its region, and nothing here keeps that promise.
func putIdentity(c *call, in *input) (*change, error) {
	var p struct {
		Isolation string `json:"isolationScope"`
	}
	if err := decode(in.Properties, "properties", &p); err != nil {
		return nil, err
	}
	if p.Isolation != "" && !strings.EqualFold(p.Isolation, "None") {
		return nil, fail(badRequest, "The property 'isolationScope' must be 'None': this server does not isolate regions.")
	}
	i := &model.Identity{Resource: in.common, TenantID: c.s.tenantID}
	if old, ok := in.old.(*model.Identity); ok {
		i.ClientID, i.PrincipalID = old.ClientID, old.PrincipalID
	} else {
		i.ClientID, i.PrincipalID = model.NewUUID(), model.NewUUID()
	}
	return &change{object: i}, nil
}

type identityProperties struct {
	TenantID    string `json:"tenantId"`
	PrincipalID string `json:"principalId"`
	ClientID    string `json:"clientId"`
}

func shapeIdentity(_ *call, o model.Object, out *resource) {
	if i, ok := o.(*model.Identity); ok {
		out.Properties = identityProperties{i.TenantID, i.PrincipalID, i.ClientID}
	}
}

// removeIdentity deletes the identity first, so that its tokens stop, with all
// that hangs on it and, wherever they are, its role assignments.
func removeIdentity(_ *Server, v *store.View, e *store.Entry) []store.Op {
	ops := []store.Op{{Key: e.Key, Rev: e.Rev}, {Key: e.Key + "/", Rev: store.Any, Tree: true}}
	if i, ok := e.Value.(*model.Identity); ok {
		for a := range v.Lookup(model.RoleIndex(i.PrincipalID)) {
			if !strings.HasPrefix(a.Key, e.Key+"/") {
				ops = append(ops, store.Op{Key: a.Key, Rev: store.Any})
			}
		}
	}
	return ops
}

// associated is https://learn.microsoft.com/rest/api/managedidentity/user-assigned-identities/list-associated-resources.
type associated struct {
	ID               string `json:"id"`
	Name             string `json:"name"`
	Type             string `json:"type"`
	Group            string `json:"resourceGroup"`
	SubscriptionID   string `json:"subscriptionId"`
	SubscriptionName string `json:"subscriptionDisplayName"`
}

// listAssociated lists the clusters that the identity is bound to, if the caller may
// read them.
func (c *call) listAssociated() error {
	i, _, ok := store.Get[*model.Identity](c.view, c.op.scope.Key())
	if !ok {
		return c.notFound(c.op.scope)
	}
	body := struct {
		Total int          `json:"totalCount"`
		Value []associated `json:"value"`
	}{Value: []associated{}}
	seen := map[string]bool{}
	for _, b := range entriesOf[*model.IdentityBinding](c.view, groupsKey(c.s.sub)) {
		k, _, ok := store.Get[*model.Cluster](c.view, b.ClusterKey)
		if !ok || b.ClientID != i.ClientID || seen[b.ClusterKey] || !c.s.gate.Allowed(c.view, c.caller, clusterType+"/read", b.ClusterKey) {
			continue
		}
		seen[b.ClusterKey] = true
		body.Value = append(body.Value, associated{
			ID: k.ID, Name: k.Name, Type: strings.ToLower(clusterType), Group: c.groupOf(k),
			SubscriptionID: c.s.subscriptionID, SubscriptionName: c.s.subscriptionName,
		})
	}
	body.Total = len(body.Value)
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

func checkCredentialName(name string) error {
	if !model.ValidCredentialName(name) {
		return fail(badRequest, "The federated identity credential name '%s' is invalid: it must have 3 to 120 letters, digits, "+
			"'-' and '_', and begin with a letter or digit.", name)
	}
	return nil
}

type credentialProperties struct {
	Issuer    string            `json:"issuer"`
	Subject   string            `json:"subject,omitempty"`
	Audiences []string          `json:"audiences"`
	Matching  *model.Expression `json:"claimsMatchingExpression,omitempty"`
}

func putCredential(c *call, in *input) (*change, error) {
	var p *credentialProperties
	if err := decode(in.Properties, "properties", &p); err != nil {
		return nil, err
	}
	if p == nil {
		return nil, fail(badRequest, "A federated identity credential must not have empty properties.")
	}
	f := &model.FederatedCredential{
		Resource: in.common, ParentKey: c.holder.Key,
		Issuer: p.Issuer, Subject: p.Subject, Audiences: p.Audiences, Matching: p.Matching,
	}
	if err := f.Validate(); err != nil {
		return nil, fail(badRequest, "The federated identity credential is invalid: %s.", err)
	}

	parent, ok := c.holder.Value.(*model.Identity)
	if !ok {
		return nil, c.notFound(c.id.Parent())
	}
	if err := c.checkOthers(f); err != nil {
		return nil, err
	}
	// The identity is written with it, unchanged: of two credentials written at
	// once, each checked against the same others, one starts over.
	return &change{object: f, more: []store.Op{{Value: parent, Rev: c.holder.Rev}}}, nil
}

// checkOthers keeps the rules over all credentials of one identity.
func (c *call) checkOthers(f *model.FederatedCredential) error {
	others := 0
	for e := range c.view.Prefix(c.holder.Key+model.FederatedCredentialSegment, "") {
		g, ok := e.Value.(*model.FederatedCredential)
		if !ok || e.Key == f.Key() {
			continue
		}
		others++
		if f.Same(g) {
			return fail(badRequest, "Issuer and subject combination already exists for this Managed Identity, in the credential '%s'.", g.Name)
		}
	}
	if limit := c.s.maxCredentials; limit > 0 && others >= limit {
		return fail(badRequest, "A managed identity may have at most %d federated identity credentials; this one has %d.", limit, others)
	}
	return nil
}

func shapeCredential(_ *call, o model.Object, out *resource) {
	if f, ok := o.(*model.FederatedCredential); ok {
		out.Properties = credentialProperties{f.Issuer, f.Subject, f.Audiences, f.Matching}
	}
}
