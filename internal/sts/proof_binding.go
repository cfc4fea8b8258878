package sts

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Clusters asks attached clusters about their service accounts.
type Clusters interface {
	// Review says whose token it is, if the cluster accepts it for the audience
	// now; ErrClusterToken if it does not.
	Review(ctx context.Context, c *model.Cluster, token, audience string) (ClusterUser, error)
	// MayUse says whether the cluster's roles let a user use a client id: the
	// verb use-managed-identity, on the resource of that name.
	MayUse(ctx context.Context, c *model.Cluster, user ClusterUser, clientID string) (bool, error)
}

// ClusterUser is a service account as its cluster knows it.
type ClusterUser struct {
	Name, UID string
	Groups    []string
	Extra     map[string][]string
}

// ErrClusterToken says that a cluster does not accept a token.
var ErrClusterToken = errors.New("the cluster does not accept the token")

// What the cluster's roles must allow.
// https://learn.microsoft.com/azure/aks/identity-bindings
const (
	BindingGroup = "cid.wi.aks.azure.com"
	BindingVerb  = "use-managed-identity"
)

// bindingsInFlight bounds the questions that strangers can have us ask clusters.
const bindingsInFlight = 64

// bindingRoutes are the identity binding endpoints: SDKs send all that they would
// ask the authority, under the endpoint's path, and others the bare request. The
// Host header stays the authority's, so documents name that: set, or the names
// that were asked.
func (s *Server) bindingRoutes(set *names.Set) []httpx.Route {
	if s.clusters == nil {
		return nil
	}
	const prefix = "/identitybinding/{cluster}"
	instance, openID := s.instance, s.openIDv2
	if set != nil {
		instance = func(w http.ResponseWriter, r *http.Request) error { return s.publicInstance(w, r, set) }
		openID = func(w http.ResponseWriter, r *http.Request) error { return s.openIDFor(w, r, set, true) }
	}
	bare := httpx.Route{Op: "token.binding", MaxBody: tokenMaxBody, Timeout: tokenTimeout, MaxInFlight: bindingsInFlight, Handle: s.bindingToken}
	bare.Pattern = "POST " + prefix
	slashed := bare
	slashed.Pattern += "/{$}"
	return []httpx.Route{
		bare, slashed,
		{Pattern: "GET " + prefix + "/common/discovery/instance", Op: "instance", MaxBody: httpx.NoBody, Timeout: discoveryTimeout, Handle: instance},
		{Pattern: "GET " + prefix + "/{tenant}/v2.0/.well-known/openid-configuration", Op: "openid.v2", MaxBody: httpx.NoBody, Timeout: discoveryTimeout, Handle: openID},
		{Pattern: "GET " + prefix + "/{tenant}/discovery/v2.0/keys", Op: "keys", MaxBody: httpx.NoBody, Timeout: discoveryTimeout, Handle: s.jwks},
		{Pattern: "POST " + prefix + "/{tenant}/oauth2/v2.0/token", Op: "token.binding", MaxBody: tokenMaxBody, Timeout: tokenTimeout, MaxInFlight: bindingsInFlight, Handle: s.bindingToken},
	}
}

func (s *Server) bindingToken(w http.ResponseWriter, r *http.Request) error {
	a := &attempt{cluster: r.PathValue("cluster")}
	a.set, _ = httpx.Target(r)
	return s.conclude(w, r, a, s.admitBinding(r, a))
}

// admitBinding is admit for an identity binding endpoint. The bare request names
// no tenant: there is one.
func (s *Server) admitBinding(r *http.Request, a *attempt) error {
	if segment := r.PathValue("tenant"); segment != "" {
		if _, err := s.tenant(segment); err != nil {
			return err
		}
	}
	if err := a.read(bare(r), false); err != nil {
		return err
	}
	if a.grant != "" || a.method != methodFederated {
		return refuse(codeNoCredential, "An identity binding takes a service account's token as client_assertion, and nothing else.")
	}
	a.method, a.record.Method = methodBinding, string(methodBinding)
	if err := s.prove(r.Context(), a); err != nil {
		return err
	}
	return s.allowed(a.view, a.resource)
}

// bare makes a form of the query, for a request that has no body.
func bare(r *http.Request) *http.Request {
	if r.Header.Get("Content-Type") != "" || r.ContentLength > 0 || r.URL.RawQuery == "" {
		return r
	}
	form := r.Clone(r.Context())
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	form.Header.Del("Content-Encoding") // of no body
	form.Body, form.ContentLength = io.NopCloser(strings.NewReader(r.URL.RawQuery)), int64(len(r.URL.RawQuery))
	return form
}

// forBindings refuses a token of the identity bindings' audience elsewhere: the
// cluster's roles, which only the binding endpoint asks about, are part of what
// such a token may do.
func (a *attempt) forBindings() error {
	a.record.Differed = []string{"audience"}
	a.record.Hint = "Use AZURE_KUBERNETES_TOKEN_PROXY with this token, or project a second one for the exchange."
	return refuse(codeFederatedAudience, "No matching federated identity record found for presented assertion audience %s. "+
		"It is the audience of identity bindings: only a cluster's identity binding endpoint takes it.", quote(model.BindingAudience))
}

// byBinding finds the identity's binding to the cluster. All that can be known
// without the cluster is judged first.
func (s *Server) byBinding(a *attempt) error {
	cluster, err := s.boundCluster(a)
	if err != nil {
		return err
	}
	t := a.assertion
	switch now := s.now(); {
	case !slices.Contains(t.Audiences, model.BindingAudience):
		a.record.Differed = []string{"audience"}
		a.record.Hint = "Project the token for the audience " + model.BindingAudience + "."
		return refuse(codeFederatedAudience, "No matching federated identity record found for presented assertion audience %s. Registered: %s.",
			quote(strings.Join(t.Audiences, ", ")), quote(model.BindingAudience))
	case t.Issuer != cluster.Issuer:
		a.record.Differed = []string{"issuer"}
		a.record.Hint = "The token is another cluster's than the one whose endpoint was asked."
		return refuse(codeFederatedIssuer, "No matching federated identity record found for presented assertion issuer %s. Registered: %s.", quote(t.Issuer), quote(cluster.Issuer))
	case t.Expires.IsZero() || !now.Before(t.Expires):
		a.record.Differed = []string{"time"}
		a.record.Hint = "Read the token file again: the kubelet renews it before it expires."
		return refuse(codeTime, "Client assertion is not within its valid time range. Current time: %s, expiry time of assertion: %s.", stamp(now), stamp(t.Expires))
	}
	a.verify = func(ctx context.Context) error { return s.vouched(ctx, a, cluster) }
	return nil
}

// boundCluster is the cluster whose endpoint was asked, if the client is bound to it.
func (s *Server) boundCluster(a *attempt) (*model.Cluster, error) {
	var binding *model.IdentityBinding
	for e := range a.view.Lookup(model.BindingIndex(a.cluster, a.client.appID)) {
		if b, ok := e.Value.(*model.IdentityBinding); ok && strings.ToLower(b.IdentityID) == a.client.key {
			binding = b
		}
	}
	if binding == nil || a.client.app != nil {
		a.record.Hint = "Bind the identity to the cluster: az aks identity-binding create."
		return nil, refuse(codeFederatedIssuer, "No matching federated identity record found: the cluster of this endpoint has no identity binding for the client %s.", quote(a.clientID))
	}
	f, _, ok := store.Get[*model.FederatedCredential](a.view, a.client.key+model.FederatedCredentialSegment+model.BindingCredential)
	if !ok || f.Issuer != model.BindingIssuer(s.names.Own().LoginURL(), s.tenantID, a.client.appID) {
		a.record.Hint = "Make the identity binding again: that makes its credential."
		return nil, refuse(codeFederatedIssuer, "No matching federated identity record found: the identity's credential %s, which all its bindings share, was deleted.", quote(model.BindingCredential))
	}
	a.record.Registered = append(a.record.Registered, registered(f))
	cluster, _, ok := store.Get[*model.Cluster](a.view, binding.ClusterKey)
	if !ok {
		return nil, refuse(codeFederatedIssuer, "No matching federated identity record found: the cluster of this endpoint was detached.")
	}
	a.grounds = grounds{a.client.object, f, binding, cluster}
	return cluster, nil
}

// vouched asks the cluster whether the token is good, and whether its owner may
// use the identity. Without an answer nobody is let in.
func (s *Server) vouched(ctx context.Context, a *attempt, cluster *model.Cluster) error {
	user, err := s.clusters.Review(ctx, cluster, a.text, model.BindingAudience)
	switch {
	case errors.Is(err, ErrClusterToken):
		a.record.Differed = []string{"signature"}
		a.record.Hint = "The pod or the service account is gone, or the token is not one of this cluster's."
		return refuse(codeSignature, "Client assertion failed signature validation. The cluster %s does not accept it.", quote(cluster.Name))
	case err != nil:
		return apierr.Wrap(err, apierr.Unavailable, "The cluster %s cannot be asked about the token now. Try again.", quote(cluster.Name))
	case user.Name != a.assertion.Subject:
		a.record.Differed = []string{"subject"}
		return refuse(codeFederatedSubject, "The cluster %s knows the bearer of the assertion by another name than its subject %s.", quote(cluster.Name), quote(a.assertion.Subject))
	}
	may, err := s.clusters.MayUse(ctx, cluster, user, a.client.appID)
	if err != nil {
		return apierr.Wrap(err, apierr.Unavailable, "The cluster %s cannot be asked about its roles now. Try again.", quote(cluster.Name))
	}
	if !may {
		a.record.Differed = []string{"subject"}
		a.record.Hint = "Bind a ClusterRole with this rule to the service account: apiGroups [" + BindingGroup + "], resources [" + a.client.appID + "], verbs [" + BindingVerb + "]."
		return refuse(codeFederatedSubject, "No matching federated identity record found for presented assertion subject %s. "+
			"The cluster %s does not let it %s on %s.%s.", quote(user.Name), quote(cluster.Name), BindingVerb, a.client.appID, BindingGroup)
	}
	return nil
}
