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

// bindingProof is a service account's token at its cluster's identity binding endpoint:
// the cluster is asked about it.
var bindingProof = proof{
	name:      "binding",
	parameter: parameterAssertion,
	methods:   []string{"private_key_jwt"},
	acr:       "2",
	reason:    "The cluster vouches for the service account, and lets it use the identity.",
	takes: func(q *request) (bool, error) {
		err := q.readAssertion()
		return err == nil && q.cluster != "" && !strings.EqualFold(q.assertion.Issuer, q.clientID), err
	},
	find: (*Server).byBinding,
}

// Clusters asks attached clusters about their service accounts. It is an interface only
// for the import fence, which keeps Kubernetes out of the surfaces.
type Clusters interface {
	// Review says whose token it is, if the cluster accepts it for the audience
	// now; model.ErrClusterToken if it does not.
	Review(ctx context.Context, c *model.Cluster, token, audience string) (model.ClusterUser, error)
	// MayUse says whether the cluster's roles let a user use a client id: the
	// verb use-managed-identity, on the resource of that name.
	MayUse(ctx context.Context, c *model.Cluster, user model.ClusterUser, clientID string) (bool, error)
}

// bindingsInFlight bounds the questions that strangers can have us ask clusters.
const bindingsInFlight = 64

// bindingRoutes are the identity binding endpoints. SDKs send there, under the endpoint's
// path, all requests to the authority; other clients send the bare token request. Documents
// name the authority of family or, if that is nil, of the Host header.
func (s *Server) bindingRoutes(family *names.Hosts) []httpx.Route {
	if s.clusters == nil {
		return nil
	}
	const prefix = "/identitybinding/{cluster}"
	instance, openID := s.instance, s.openIDv2
	if family != nil {
		instance = func(w http.ResponseWriter, r *http.Request) error { return s.publicInstance(w, r, family) }
		openID = func(w http.ResponseWriter, r *http.Request) error { return s.openIDFor(w, r, family, true) }
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

// formOfQuery makes a form of the query, for a request that has no body.
func formOfQuery(r *http.Request) *http.Request {
	if r.Header.Get("Content-Type") != "" || r.ContentLength > 0 || r.URL.RawQuery == "" {
		return r
	}
	form := r.Clone(r.Context())
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	form.Header.Del("Content-Encoding") // of no body
	form.Body, form.ContentLength = io.NopCloser(strings.NewReader(r.URL.RawQuery)), int64(len(r.URL.RawQuery))
	return form
}

// refuseBindingToken refuses a token of the identity bindings' audience elsewhere: the
// cluster's roles, which only the binding endpoint asks about, are part of what
// such a token may do.
func (q *request) refuseBindingToken() error {
	q.record.Differed = []string{"audience"}
	q.record.Hint = "Use AZURE_KUBERNETES_TOKEN_PROXY with this token, or project a second one for the exchange."
	return refuse(codeFederatedAudience, "No matching federated identity record found for presented assertion audience %s. "+
		"It is the audience of identity bindings: only a cluster's identity binding endpoint takes it.", quote(model.BindingAudience))
}

// byBinding finds the identity's binding to the cluster, and compares the token with it
// before the cluster is asked.
func (s *Server) byBinding(q *request) error {
	cluster, err := s.boundCluster(q)
	if err != nil {
		return err
	}
	t := q.assertion
	switch now := s.now(); {
	case !slices.Contains(t.Audiences, model.BindingAudience):
		q.record.Differed = []string{"audience"}
		q.record.Hint = "Project the token for the audience " + model.BindingAudience + "."
		return refuse(codeFederatedAudience, "No matching federated identity record found for presented assertion audience %s. Registered: %s.",
			quote(strings.Join(t.Audiences, ", ")), quote(model.BindingAudience))
	case t.Issuer != cluster.Issuer:
		q.record.Differed = []string{"issuer"}
		q.record.Hint = "The token is another cluster's than the one whose endpoint was asked."
		return refuse(codeFederatedIssuer, "No matching federated identity record found for presented assertion issuer %s. Registered: %s.", quote(t.Issuer), quote(cluster.Issuer))
	case t.Expires.IsZero() || !now.Before(t.Expires):
		q.record.Differed = []string{"time"}
		q.record.Hint = "Read the token file again: the kubelet renews it before it expires."
		return refuse(codeTime, "Client assertion is not within its valid time range. Current time: %s, expiry time of assertion: %s.", stamp(now), stamp(t.Expires))
	}
	q.verify = func(ctx context.Context) error { return s.askCluster(ctx, q, cluster) }
	return nil
}

// boundCluster is the cluster whose endpoint was asked, if the client is bound to it.
func (s *Server) boundCluster(q *request) (*model.Cluster, error) {
	var binding *model.IdentityBinding
	for e := range q.view.Lookup(model.BindingIndex(q.cluster, q.client.appID)) {
		if b, ok := e.Value.(*model.IdentityBinding); ok && strings.ToLower(b.IdentityID) == q.client.key {
			binding = b
		}
	}
	if binding == nil || q.client.app != nil {
		q.record.Hint = "Bind the identity to the cluster: az aks identity-binding create."
		return nil, refuse(codeFederatedIssuer, "No matching federated identity record found: the cluster of this endpoint has no identity binding for the client %s.", quote(q.clientID))
	}
	f, _, ok := store.Get[*model.FederatedCredential](q.view, q.client.key+model.FederatedCredentialSegment+model.BindingCredential)
	if !ok || f.Issuer != model.BindingIssuer(s.names.Own().LoginURL(), s.tenantID, q.client.appID) {
		q.record.Hint = "Make the identity binding again: that makes its credential."
		return nil, refuse(codeFederatedIssuer, "No matching federated identity record found: the identity's credential %s, which all its bindings share, was deleted.", quote(model.BindingCredential))
	}
	q.record.Registered = append(q.record.Registered, registered(f))
	cluster, _, ok := store.Get[*model.Cluster](q.view, binding.ClusterKey)
	if !ok {
		return nil, refuse(codeFederatedIssuer, "No matching federated identity record found: the cluster of this endpoint was detached.")
	}
	q.grounds = grounds{q.client.object, f, binding, cluster}
	return cluster, nil
}

// askCluster asks the cluster whether the token is good, and whether its owner may
// use the identity. Without an answer nobody is let in.
func (s *Server) askCluster(ctx context.Context, q *request, cluster *model.Cluster) error {
	user, err := s.clusters.Review(ctx, cluster, strings.TrimSpace(q.form.Get(parameterAssertion)), model.BindingAudience)
	switch {
	case errors.Is(err, model.ErrClusterToken):
		q.record.Differed = []string{"signature"}
		q.record.Hint = "The pod or the service account is gone, or the token is not one of this cluster's."
		return refuse(codeSignature, "Client assertion failed signature validation. The cluster %s does not accept it.", quote(cluster.Name))
	case err != nil:
		return apierr.Wrap(err, apierr.Unavailable, "The cluster %s cannot be asked about the token now. Try again.", quote(cluster.Name))
	case user.Name != q.assertion.Subject:
		q.record.Differed = []string{"subject"}
		return refuse(codeFederatedSubject, "The cluster %s knows the bearer of the assertion by another name than its subject %s.", quote(cluster.Name), quote(q.assertion.Subject))
	}
	may, err := s.clusters.MayUse(ctx, cluster, user, q.client.appID)
	if err != nil {
		return apierr.Wrap(err, apierr.Unavailable, "The cluster %s cannot be asked about its roles now. Try again.", quote(cluster.Name))
	}
	if !may {
		q.record.Differed = []string{"subject"}
		q.record.Hint = "Bind a ClusterRole with this rule to the service account: apiGroups [" + model.BindingGroup + "], resources [" + q.client.appID + "], verbs [" + model.BindingVerb + "]."
		return refuse(codeFederatedSubject, "No matching federated identity record found for presented assertion subject %s. "+
			"The cluster %s does not let it %s on %s.%s.", quote(user.Name), quote(cluster.Name), model.BindingVerb, q.client.appID, model.BindingGroup)
	}
	return nil
}
