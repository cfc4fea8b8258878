package arm

import (
	"iter"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// publishIssuer adds the writes that make the cluster's tokens verifiable. keys
// are read now unless they are given.
func (c *call) publishIssuer(ch *change, next *model.Cluster, keys []byte) error {
	if keys == nil {
		var err error
		if keys, err = c.s.clusters.Keys(c.r.Context(), next); err != nil {
			return unusable(err)
		}
	}
	for e := range c.view.Lookup(model.ClusterIssuerIndex(next.Issuer)) {
		if e.Key != next.Key() {
			return fail(conflict, "The issuer '%s' is already the one of the cluster '%s'. Two clusters cannot share an issuer, because each has keys of its own: "+
				"give this one an issuer of its own with kube-apiserver's --service-account-issuer, as the page Clusters says under 'Many clusters with the same issuer', and attach it again.", next.Issuer, e.Key)
		}
	}
	held, rev, exists := store.Get[*model.Issuer](c.view, model.IssuerKey(next.Issuer))
	if exists && !next.Published {
		return fail(conflict, "The issuer '%s' has settings of its own since %s. Delete them first: lanyard issuer delete '%s'.",
			next.Issuer, held.Updated.UTC().Format(time.DateOnly), next.Issuer)
	}
	if !exists {
		if err := c.mayTakeOver(next); err != nil {
			return err
		}
	}
	if err := c.mayChangeKeys(next.Issuer); err != nil {
		return err
	}
	next.Published = true
	ch.more = append(ch.more, store.Op{Value: &model.Issuer{URL: next.Issuer, Keys: keys, Updated: c.s.now().UTC()}, Rev: rev})
	return nil
}

// setTakeOver takes over whether the cluster's keys may decide in place of what its
// issuer publishes. Every kubeconfig says so anew: another may name another issuer.
func (c *call) setTakeOver(next *model.Cluster, in *bool, attach bool) error {
	if attach {
		next.TakesOver = in != nil && *in
		return nil
	}
	if in == nil || *in == next.TakesOver {
		return nil
	}
	next.TakesOver = *in
	return c.s.gate.Check(c.r.Context(), c.view, c.caller, writeIssuers, "/")
}

// mayTakeOver refuses to put the cluster's keys where credentials rest on what the
// issuer itself publishes, unless the cluster was attached to do that. An API server
// can claim any issuer.
func (c *call) mayTakeOver(next *model.Cluster) error {
	if next.TakesOver {
		return nil
	}
	var named []string
	hidden := false
	for f := range c.credentialsOf(next.Issuer) {
		if len(named) == maxNamed {
			hidden = true
			break
		}
		if !c.mayReadCredential(f) {
			hidden = true
			continue
		}
		named = append(named, "'"+f.ID+"'")
	}
	switch {
	case hidden:
		named = append(named, "and others")
	case len(named) == 0:
		return nil
	}
	return fail(conflict, "Federated credentials trust what the issuer '%s' itself publishes: %s. Enabled, this cluster's keys would decide in its place. "+
		"If the issuer is this cluster's own, attach it with takeOverIssuer: lanyard cluster attach %s --take-over-issuer.",
		next.Issuer, strings.Join(named, ", "), next.Name)
}

// maxNamed is how many credentials a refusal names.
const maxNamed = 10

// credentialsOf walks the federated credentials that name an issuer.
func (c *call) credentialsOf(issuer string) iter.Seq[*model.FederatedCredential] {
	return func(yield func(*model.FederatedCredential) bool) {
		for e := range c.view.Lookup(model.IssuerIndex(issuer)) {
			if f, ok := e.Value.(*model.FederatedCredential); ok && f.Issuer == issuer && !yield(f) {
				return
			}
		}
	}
}

// The directory's actions that decide about applications' credentials.
const (
	readApplications  = "Microsoft.Authorization/applications/read"
	writeApplications = "Microsoft.Authorization/applications/write"
)

func ofApplication(f *model.FederatedCredential) bool {
	return strings.HasPrefix(f.ParentKey, model.ApplicationsKey)
}

func (c *call) mayReadCredential(f *model.FederatedCredential) bool {
	action, scope := credentialType+"/read", f.ID
	if ofApplication(f) {
		action, scope = readApplications, "/"
	}
	return c.s.gate.Allowed(c.view, c.caller, action, scope)
}

// mayChangeKeys asks for the right to write applications when an issuer's keys decide
// about any: with keys of one's own one can be each of them. A right to write issuers
// is held at the root, and so covers all managed identities' credentials anyway.
func (c *call) mayChangeKeys(issuer string) error {
	for f := range c.credentialsOf(issuer) {
		if ofApplication(f) {
			return c.s.gate.Check(c.r.Context(), c.view, c.caller, writeApplications, "/")
		}
	}
	return nil
}
