package cluster

import (
	"context"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// warnOfEnds logs once of each credential that has ended, or soon does.
func (a *Attached) warnOfEnds(ctx context.Context, view *store.View) {
	for e := range view.Lookup(model.AllClusters) {
		k, ok := e.Value.(*model.Cluster)
		if !ok {
			continue
		}
		end := a.CredentialEnds(k)
		if end.IsZero() || end.Sub(a.c.Now()) >= model.CredentialEndsSoon {
			continue
		}
		if known, ok := a.warned.Swap(k.Key(), end); !ok || !end.Equal(known.(time.Time)) {
			a.c.Log.WarnContext(ctx, "the credential of a cluster's kubeconfig ends: attach the cluster again with a newer one", "cluster", k.ID, "end", end)
		}
	}
}

// Health is how attached clusters are, all together.
type Health struct {
	NotEnabled, Accepted, Refused int
	OldestRead                    time.Time // of those that are enabled; zero without one
	FirstEnd                      time.Time // of their kubeconfigs' credentials; zero when none says
}

// Health looks at what is stored; it asks no cluster.
func (a *Attached) Health() (h Health) {
	view, err := a.c.Store.View()
	if err != nil {
		return h
	}
	first := func(t *time.Time, other time.Time) {
		if !other.IsZero() && (t.IsZero() || other.Before(*t)) {
			*t = other
		}
	}
	for e := range view.Lookup(model.AllClusters) {
		k, ok := e.Value.(*model.Cluster)
		if !ok {
			continue
		}
		first(&h.FirstEnd, a.CredentialEnds(k))
		held, _, ok := store.Get[*model.Issuer](view, model.IssuerKey(k.Issuer))
		if !k.Published || !ok {
			h.NotEnabled++
			continue
		}
		first(&h.OldestRead, held.Updated)
		if held.KeysGone() {
			h.Refused++
		} else {
			h.Accepted++
		}
	}
	return h
}
