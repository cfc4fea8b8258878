package arm

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Clusters is what attached clusters say, and what is done in them: all that package
// cluster does for Resource Manager. It is an interface only for the import fence,
// which keeps Kubernetes out of the surfaces.
type Clusters interface {
	// Attach gives a cluster a kubeconfig, and fills in what its API server says of
	// itself. It returns the keys of the cluster's issuer, and writes nothing. An error
	// that the caller can put right is of kind apierr.Invalid.
	Attach(ctx context.Context, c *model.Cluster, kubeconfig []byte) (keys []byte, err error)
	// Keys reads the keys of the cluster's issuer. Its errors are as those of Attach.
	Keys(ctx context.Context, c *model.Cluster) (keys []byte, err error)
	// Kubeconfig is the one that was attached, in YAML, with the cluster's name and
	// a user's.
	Kubeconfig(c *model.Cluster, user string) ([]byte, error)
	// CredentialEnds is when the kubeconfig's credential does; zero when it does not say.
	CredentialEnds(c *model.Cluster) time.Time
	// Mode is how a cluster with these settings would get the webhook. An error
	// says which setting is missing.
	Mode(c *model.Cluster) (model.WebhookMode, error)
	// Work has the cluster follow its settings, which are stored. done is closed
	// when that is over. There is no operation when there is nothing to do.
	Work(ctx context.Context, c *model.Cluster) (operation string, done <-chan struct{}, err error)
	// Detach takes the webhook out of a cluster that is about to be forgotten. A failure
	// is an error of kind apierr.Conflict; with force it is only logged.
	Detach(ctx context.Context, c *model.Cluster, force bool) error
}

// writeIssuers is what one must be allowed in the tenant to attach a cluster: its
// API server's word decides from then on which keys its issuer has.
const writeIssuers = "Lanyard.Trust/issuers/write"

// attachCluster fills in a cluster from a kubeconfig, after asking its API
// server. It returns the keys of the cluster's issuer.
func (c *call) attachCluster(next, old *model.Cluster, raw []byte) (keys []byte, err error) {
	if err := c.s.gate.Check(c.r.Context(), c.view, c.caller, writeIssuers, "/"); err != nil {
		return nil, err
	}
	if keys, err = c.s.clusters.Attach(c.r.Context(), next, raw); err != nil {
		return nil, unusable(err)
	}
	if c.s.names.Issues(next.Issuer) {
		return nil, fail(badRequest, "The cluster names the issuer '%s', which is this server's own.", next.Issuer)
	}
	if old != nil && old.Published && old.Issuer != next.Issuer {
		return nil, fail(conflict, "The cluster's issuer is now '%s', and was '%s' when it was enabled. Detach the cluster, and attach it again.", next.Issuer, old.Issuer)
	}
	return keys, nil
}

// unusable gives an error of Clusters the code that Resource Manager has for it.
func unusable(err error) error {
	if apierr.KindOf(err) == apierr.Invalid {
		return fail(badRequest, "%s", apierr.Detail(err))
	}
	return err
}

// detachGroup detaches all clusters of a group that is about to go.
func (s *Server) detachGroup(ctx context.Context, v *store.View, group *store.Entry) error {
	if s.clusters == nil {
		return nil
	}
	for e := range v.Lookup(model.AllClusters) {
		cluster, ok := e.Value.(*model.Cluster)
		if !ok || !strings.HasPrefix(e.Key, group.Key+"/") {
			continue
		}
		if err := s.clusters.Detach(ctx, cluster, false); err != nil {
			return err
		}
	}
	return nil
}

// health fills in when the cluster's keys were really read, when its credential
// ends, and what needs attention. It says whether its tokens are refused.
func (c *call) health(k *model.Cluster, a *clusterAttachment) (refused bool) {
	now := c.s.now()
	end := c.s.clusters.CredentialEnds(k)
	a.CredentialEnds = wireTime(end)
	fix := fmt.Sprintf(" Attach it again with a kubeconfig that is good for longer: lanyard cluster attach %s -g %s --kubeconfig FILE.", k.Name, c.groupOf(k))
	switch {
	case end.IsZero():
	case !now.Before(end):
		a.Attention = "The credential of its kubeconfig ended at " + end.UTC().Format(time.RFC3339) + "." + fix
	case end.Sub(now) < model.CredentialEndsSoon:
		a.Attention = "The credential of its kubeconfig ends at " + end.UTC().Format(time.RFC3339) + "." + fix
	}
	held, _, ok := store.Get[*model.Issuer](c.view, model.IssuerKey(k.Issuer))
	if !k.Published || !ok {
		return false
	}
	a.KeysRead, a.KeysError = wireTime(held.Updated), held.Fault
	refused = held.KeysGone()
	if refused {
		a.Attention = strings.TrimSpace(fmt.Sprintf("Its tokens are refused: its keys could not be read since %s (%s). Mend that, or attach it again: lanyard cluster attach %s -g %s --kubeconfig FILE. %s",
			held.Updated.UTC().Format(time.RFC3339), held.Fault, k.Name, c.groupOf(k), a.Attention))
	}
	return refused
}
