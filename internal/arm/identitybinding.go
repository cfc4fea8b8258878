package arm

import (
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
	"github.com/lanyard-io/lanyard/internal/store"
)

var bindingVersions = []string{"2026-07-01", "2026-06-01", "2026-04-01", "2025-06-02-preview"}

// bindingRow is identity bindings: which identities the service accounts of a
// cluster may be. Which account may be which is the cluster's own affair.
// https://learn.microsoft.com/azure/aks/identity-bindings-concepts
func bindingRow() *row {
	return &row{
		name: "binding", typ: clusterType + "/identityBindings", versions: bindingVersions,
		in: inGroup, listed: inGroup,
		checkName: checkBindingName, put: putBinding, shape: shapeBinding,
		verbs: map[string]verb{"DELETE": {do: (*call).deleteBinding}},
	}
}

func checkBindingName(name string) error {
	if checkClusterName(name) != nil {
		return fail(invalidResourceName, "The identity binding name '%s' is invalid: it must have 1 to 63 letters, digits, '-' and '_', "+
			"and begin and end with a letter or digit.", name)
	}
	return nil
}

// writeCredentials is what one must be allowed on an identity to bind it: from
// then on a cluster decides who may be it.
const writeCredentials = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write"

func putBinding(c *call, in *input) (*change, error) {
	var p struct {
		Identity struct {
			ID string `json:"resourceId"`
		} `json:"managedIdentity"`
	}
	if err := decode(in.Properties, "properties", &p); err != nil {
		return nil, err
	}
	entry, identity, err := c.boundIdentity(p.Identity.ID)
	if err != nil {
		return nil, err
	}
	b := &model.IdentityBinding{
		Resource: in.common, ClusterKey: c.holder.Key, IdentityID: identity.ID,
		ClientID: identity.ClientID, PrincipalID: identity.PrincipalID,
	}
	if old, ok := in.old.(*model.IdentityBinding); ok && !strings.EqualFold(old.IdentityID, b.IdentityID) {
		return nil, fail(badRequest, "The identity of an identity binding cannot be changed: '%s' is bound to '%s'. Delete it, and make another.", old.Name, old.IdentityID)
	}
	ch := &change{object: b}
	return ch, c.bindCredential(ch, in, entry, identity)
}

// boundIdentity finds the identity, after asking whether the caller may bind it.
func (c *call) boundIdentity(raw string) (*store.Entry, *model.Identity, error) {
	id, err := resid.Parse(raw)
	if err != nil || id.TypeKey() != "microsoft.managedidentity/userassignedidentities" || id.IsCollection() {
		return nil, nil, fail(badRequest, "properties.managedIdentity.resourceId must be the resource id of a user-assigned identity, not '%s'.", raw)
	}
	if err := c.s.gate.Check(c.r.Context(), c.view, c.caller, writeCredentials, id.String()); err != nil {
		return nil, nil, err
	}
	e := c.view.Get(id.Key())
	if e == nil {
		return nil, nil, fail(badRequest, "The managed identity '%s' was not found.", id)
	}
	identity, ok := e.Value.(*model.Identity)
	if !ok {
		return nil, nil, fail(badRequest, "'%s' is no managed identity.", id)
	}
	return e, identity, nil
}

// bindCredential adds the write of the identity's one credential for bindings, if
// it is the first. That credential stays when bindings go: another cluster may be
// bound. To delete it is to end all bindings of the identity at once.
func (c *call) bindCredential(ch *change, in *input, entry *store.Entry, identity *model.Identity) error {
	f := &model.FederatedCredential{
		Resource: model.Resource{
			ID:   identity.ID + "/federatedIdentityCredentials/" + model.BindingCredential,
			Name: model.BindingCredential, System: in.common.System,
		},
		ParentKey: entry.Key, Issuer: c.bindingIssuer(identity.ClientID), Subject: identity.ClientID, Audiences: []string{model.BindingAudience},
	}
	f.System.CreatedAt, f.System.CreatedBy, f.System.CreatedByType = f.System.ModifiedAt, f.System.ModifiedBy, f.System.ModifiedByType
	others := 0
	for e := range c.view.Prefix(entry.Key+model.FederatedCredentialSegment, "") {
		have, ok := e.Value.(*model.FederatedCredential)
		switch {
		case !ok:
		case e.Key == f.Key() && have.Issuer == f.Issuer:
			return nil
		case e.Key == f.Key():
			return fail(conflict, "The identity '%s' has a federated credential named '%s' that is none of an identity binding's. Delete it first.", identity.Name, f.Name)
		default:
			others++
		}
	}
	if limit := c.s.maxCredentials; limit > 0 && others >= limit {
		return fail(badRequest, "A managed identity may have at most %d federated identity credentials; this one has %d, and its first identity binding needs one.", limit, others)
	}
	// The identity is written with its credential, as by a PUT of the credential.
	ch.more = append(ch.more, store.Op{Value: f}, store.Op{Value: identity, Rev: entry.Rev})
	return nil
}

func (c *call) bindingIssuer(clientID string) string {
	return model.BindingIssuer(c.s.names.Own().LoginURL(), c.s.tenantID, clientID)
}

type bindingProperties struct {
	Identity struct {
		ID          string `json:"resourceId"`
		PrincipalID string `json:"objectId"`
		ClientID    string `json:"clientId"`
		TenantID    string `json:"tenantId"`
	} `json:"managedIdentity"`
	Issuer struct {
		URL string `json:"oidcIssuerUrl"`
	} `json:"oidcIssuer"`
	State string `json:"provisioningState"`
	// Proxy is ours: what AZURE_KUBERNETES_TOKEN_PROXY is to be in the cluster's pods.
	Proxy struct {
		URL      string `json:"url"`
		Audience string `json:"audience"`
	} `json:"tokenProxy"`
}

func shapeBinding(c *call, o model.Object, out *resource) {
	b, ok := o.(*model.IdentityBinding)
	if !ok {
		return
	}
	p := bindingProperties{State: "Succeeded"}
	p.Identity.ID, p.Identity.PrincipalID, p.Identity.ClientID, p.Identity.TenantID = b.IdentityID, b.PrincipalID, b.ClientID, c.s.tenantID
	p.Issuer.URL = c.bindingIssuer(b.ClientID)
	p.Proxy.URL, p.Proxy.Audience = c.s.names.Own().LoginURL()+model.BindingPath(b.ClusterKey), model.BindingAudience
	out.Properties = p
}

// deleteBinding answers as the deletion of a cluster does, as az expects.
func (c *call) deleteBinding() error {
	e := c.view.Get(c.id.Key())
	if err := c.precondition(e); err != nil {
		return err
	}
	if e == nil {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err := c.s.commitAll(c.r.Context(), c.row.removal(c.s, c.view, e)); err != nil {
		return err
	}
	return c.accepted(c.s.sub + "/operationresults")
}
