package arm

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// endsSoon is how long before a cluster's credential ends it is warned of.
const endsSoon = 14 * 24 * time.Hour

// ends is when the credential ends that ends first; zero when none says.
func (k *kubeconfig) ends() time.Time {
	u := &k.Users[0].User
	var first time.Time
	if b, err := base64.StdEncoding.DecodeString(u.Certificate); err == nil {
		if block, _ := pem.Decode(b); block != nil {
			if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
				first = cert.NotAfter
			}
		}
	}
	parts := strings.Split(u.Token, ".")
	if len(parts) != 3 {
		return first
	}
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if b, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(b, &claims) == nil && claims.Expires > 0 {
		if end := time.Unix(int64(claims.Expires), 0); first.IsZero() || end.Before(first) {
			first = end
		}
	}
	return first
}

// health fills in when the cluster's keys were really read, when its credential
// ends, and what needs attention. It says whether its tokens are refused.
func (c *call) health(k *model.Cluster, a *clusterAttachment) (refused bool) {
	now := c.s.c.Now()
	if config, err := c.s.openKubeconfig(k); err == nil {
		end := config.ends()
		a.CredentialEnds = wireTime(end)
		mend := fmt.Sprintf(" Attach it again with a kubeconfig that is good for longer: lanyard cluster attach %s -g %s --kubeconfig FILE.", k.Name, c.groupOf(k))
		switch {
		case end.IsZero():
		case !now.Before(end):
			a.Attention = "The credential of its kubeconfig ended at " + end.UTC().Format(time.RFC3339) + "." + mend
		case end.Sub(now) < endsSoon:
			a.Attention = "The credential of its kubeconfig ends at " + end.UTC().Format(time.RFC3339) + "." + mend
		}
	}
	held, _, ok := store.Get[*model.Issuer](c.view, model.IssuerKey(k.Issuer))
	if !k.Published || !ok {
		return false
	}
	a.KeysRead, a.KeysError = wireTime(held.Updated), held.Fault
	refused = bytes.Equal(held.Keys, noKeys)
	if refused {
		a.Attention = strings.TrimSpace(fmt.Sprintf("Its tokens are refused: its keys could not be read since %s (%s). Mend that, or attach it again: lanyard cluster attach %s -g %s --kubeconfig FILE. %s",
			held.Updated.UTC().Format(time.RFC3339), held.Fault, k.Name, c.groupOf(k), a.Attention))
	}
	return refused
}

// warnOfEnds logs once of each credential that has ended, or soon does.
func (s *Server) warnOfEnds(ctx context.Context, view *store.View) {
	for e := range view.Lookup(model.AllClusters) {
		k, ok := e.Value.(*model.Cluster)
		if !ok {
			continue
		}
		config, err := s.openKubeconfig(k)
		if err != nil {
			continue
		}
		end := config.ends()
		if end.IsZero() || end.Sub(s.c.Now()) >= endsSoon {
			continue
		}
		if known, ok := s.warned.Swap(k.Key(), end); !ok || !end.Equal(known.(time.Time)) {
			s.c.Log.WarnContext(ctx, "the credential of a cluster's kubeconfig ends: attach the cluster again with a newer one", "cluster", k.ID, "end", end)
		}
	}
}

// ClusterHealth is how attached clusters are, all together.
type ClusterHealth struct {
	NotEnabled, Accepted, Refused int
	OldestRead                    time.Time // of those that are enabled; zero without one
	FirstEnd                      time.Time // of their kubeconfigs' credentials; zero when none says
}

// ClusterHealth looks at what is stored; it asks no cluster.
func (s *Server) ClusterHealth() (h ClusterHealth) {
	view, err := s.c.Store.View()
	if err != nil || s.c.Sealer == nil {
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
		if config, err := s.openKubeconfig(k); err == nil {
			first(&h.FirstEnd, config.ends())
		}
		held, _, ok := store.Get[*model.Issuer](view, model.IssuerKey(k.Issuer))
		if !k.Published || !ok {
			h.NotEnabled++
			continue
		}
		first(&h.OldestRead, held.Updated)
		if bytes.Equal(held.Keys, noKeys) {
			h.Refused++
		} else {
			h.Accepted++
		}
	}
	return h
}
