package sts

import (
	"context"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// federatedProof is another issuer's assertion, which a federated credential expects.
var federatedProof = proof{
	name:      "federated",
	parameter: parameterAssertion,
	methods:   []string{"private_key_jwt"},
	acr:       "2",
	reason:    "The federated credential proves the client.",
	codes: map[trust.Reason]*code{
		trust.Issuer:      codeFederatedIssuer,
		trust.Audience:    codeFederatedAudience,
		trust.UnknownKey:  codeKey,
		trust.UnusedKey:   codeKeyUnused,
		trust.Unreachable: codeUnreachable,
	},
	takes: func(q *request) (bool, error) { return true, q.readAssertion() },
	find:  (*Server).byFederation,
}

// byFederation finds the credential for an assertion's issuer, subject and
// audience. It acts on nothing that the assertion says until it has found one.
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation
func (s *Server) byFederation(q *request) error {
	// A token of this server must not be turned into another's, even if it is registered.
	if s.names.Issues(q.assertion.Issuer) {
		q.record.Differed = []string{"issuer"}
		q.record.Hint = "Use a token of the workload's platform: the service account's, not an access token of this server."
		return refuse(codeOwnToken, "AAD-issued tokens may not be used for federated identity flows. The assertion's issuer %s is this server.", quote(q.assertion.Issuer))
	}
	if slices.Contains(q.assertion.Audiences, model.BindingAudience) {
		return q.refuseBindingToken()
	}
	var match *model.FederatedCredential
	for f := range matching(q) {
		match = f
		if slices.Contains(q.assertion.Audiences, audienceOf(f)) {
			break
		}
	}
	if match == nil || !slices.Contains(q.assertion.Audiences, audienceOf(match)) {
		return s.noCredential(q, match)
	}
	q.record.Registered = []audit.Registered{registered(match)}
	if err := checkClusterSubject(q, match.Issuer); err != nil {
		return err
	}
	source := trust.Source{Issuer: match.Issuer}
	i, _, ok := store.Get[*model.Issuer](q.view, model.IssuerKey(match.Issuer))
	q.grounds = grounds{q.client.object, match, i}
	if ok && i.URL == match.Issuer {
		source.Keys, source.Roots = i.Keys, i.Roots
	}
	q.verify = func(ctx context.Context) error {
		if err := s.trust.Verify(ctx, q.assertion, source, audienceOf(match)); err != nil {
			return q.refuseAssertion(err)
		}
		return nil
	}
	return nil
}

// checkClusterSubject refuses an attached cluster's assertion on anything but a service
// account, whatever credentials name its issuer.
func checkClusterSubject(q *request, issuer string) error {
	if strings.HasPrefix(q.assertion.Subject, wi.SubjectPrefix) || q.view.First(model.ClusterIssuerIndex(issuer)) == nil {
		return nil
	}
	q.record.Differed = []string{"subject"}
	q.record.Hint = "The issuer's keys come from an attached cluster. Detach it if the issuer is not the cluster's, or use a service account's token."
	return refuse(codeFederatedSubject, "No matching federated identity record found for presented assertion subject %s. The keys of its issuer come from an attached cluster, "+
		"which speaks only for service accounts: subjects that begin with '%s'.", quote(q.assertion.Subject), wi.SubjectPrefix)
}

// matching walks the client's credentials whose issuer and subject, or
// expression, fit the assertion: exact ones first.
func matching(q *request) func(yield func(*model.FederatedCredential) bool) {
	issuer, subject := q.assertion.Issuer, q.assertion.Subject
	return func(yield func(*model.FederatedCredential) bool) {
		if subject != "" {
			for f := range credentials(q.view, model.FederationIndex(q.client.key, issuer, subject)) {
				// The index joins its parts; only the fields say which is which.
				if f.Matching == nil && f.Issuer == issuer && f.Subject == subject && !yield(f) {
					return
				}
			}
		}
		for f := range credentials(q.view, model.FederationIndex(q.client.key, issuer, "")) {
			if f.Matching != nil && f.Issuer == issuer && matchesExpression(f.Matching, q.assertion.Claims) && !yield(f) {
				return
			}
		}
	}
}

func credentials(view *store.View, index string) func(yield func(*model.FederatedCredential) bool) {
	return func(yield func(*model.FederatedCredential) bool) {
		for e := range view.Lookup(index) {
			if f, ok := e.Value.(*model.FederatedCredential); ok && !yield(f) {
				return
			}
		}
	}
}

// matchesExpression evaluates an expression; one that cannot be read matches nothing.
func matchesExpression(x *model.Expression, claims map[string]any) bool {
	if x.LanguageVersion != model.ExpressionVersion {
		return false
	}
	m, err := model.ParseExpression(x.Value)
	return err == nil && m.Match(claims)
}

// audienceOf is a credential's one audience; empty matches none.
func audienceOf(f *model.FederatedCredential) string {
	if len(f.Audiences) != 1 {
		return ""
	}
	return f.Audiences[0]
}

func registered(f *model.FederatedCredential) audit.Registered {
	r := audit.Registered{Name: f.Name, Issuer: f.Issuer, Subject: f.Subject, Audience: audienceOf(f)}
	if f.Matching != nil {
		r.Expression = f.Matching.Value
	}
	return r
}

// noCredential says which of issuer, subject and audience no credential of the
// client has. match is one that differs in its audience only, if there is one.
func (s *Server) noCredential(q *request, match *model.FederatedCredential) error {
	all := clientCredentials(q.view, q.client.key)
	for _, f := range all[:min(len(all), maxRegistered)] {
		q.record.Registered = append(q.record.Registered, registered(f))
	}
	d := s.compare(q, all, match)
	q.record.Differed, q.record.Hint = d.differed, hintOfOtherClient(q, d.hint)
	return refuse(d.code, "%s", d.sentence())
}

// maxRegistered is how many credentials a record lists.
const maxRegistered = 20

// clientCredentials are all federated credentials of a client.
func clientCredentials(view *store.View, parentKey string) []*model.FederatedCredential {
	var all []*model.FederatedCredential
	for e := range view.Prefix(parentKey+model.FederatedCredentialSegment, "") {
		if f, ok := e.Value.(*model.FederatedCredential); ok && f.ParentKey == parentKey {
			all = append(all, f)
		}
	}
	return all
}

// maxOtherClients is how many credentials of other clients are looked at for a hint.
const maxOtherClients = 256

// hintOfOtherClient looks for another client that has a credential for exactly this
// issuer and subject: then the client id is what is wrong. Only the record says so.
func hintOfOtherClient(q *request, otherwise string) string {
	seen := 0
	for f := range credentials(q.view, model.IssuerIndex(q.assertion.Issuer)) {
		if seen++; seen > maxOtherClients {
			break
		}
		if f.Issuer == q.assertion.Issuer && f.Matching == nil && f.Subject == q.assertion.Subject && f.ParentKey != q.client.key {
			return "Another client has a credential for this issuer and subject, " + f.ParentKey + ": check the client id (AZURE_CLIENT_ID, or the service account's azure.workload.identity/client-id)."
		}
	}
	return otherwise
}

// firstOf lists up to three different values, for an answer that anyone may read.
func firstOf(values []string) string {
	const shown = 3
	var list []string
	for _, v := range values {
		if q := quote(v); !slices.Contains(list, q) {
			list = append(list, q)
		}
	}
	if more := len(list) - shown; more > 0 {
		list = append(list[:shown], "and others")
	}
	return strings.Join(list, ", ")
}
