package sts_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

// A credential that is deleted or changed while the issuer's keys are fetched brings no
// token, though it was there when the request came.
func TestDeletedWhileKeysAreFetched(t *testing.T) {
	tests := map[string]struct {
		change func(w *world, id *model.Identity, f *model.FederatedCredential, i *trusttest.Issuer)
		status int
		oauth  string
		code   int // 0: a token
	}{
		"credential-deleted": {func(w *world, _ *model.Identity, f *model.FederatedCredential, _ *trusttest.Issuer) {
			check(w.t, w.Store.Delete(w.t.Context(), f.Key(), store.Any))
		}, 401, "invalid_client", 700211},
		"identity-deleted": {func(w *world, id *model.Identity, _ *model.FederatedCredential, _ *trusttest.Issuer) {
			check(w.t, w.Store.Delete(w.t.Context(), id.Key(), store.Any))
		}, 400, "unauthorized_client", 700016},
		"subject-changed": {func(w *world, _ *model.Identity, f *model.FederatedCredential, _ *trusttest.Issuer) {
			g := *f
			g.Subject = "system:serviceaccount:lab:else"
			w.put(&g)
		}, 401, "invalid_client", 700213},
		"audience-changed": {func(w *world, _ *model.Identity, f *model.FederatedCredential, _ *trusttest.Issuer) {
			g := *f
			g.Audiences = []string{"api://else"}
			w.put(&g)
		}, 401, "invalid_client", 700212},
		"keys-uploaded": {func(w *world, _ *model.Identity, _ *model.FederatedCredential, i *trusttest.Issuer) {
			w.put(&model.Issuer{URL: i.URL, Keys: trusttest.New(w.t).JWKS()})
		}, 401, "invalid_client", 7000272},
		"written-again": {func(w *world, id *model.Identity, f *model.FederatedCredential, _ *trusttest.Issuer) {
			sameID, sameCredential := *id, *f
			w.put(&sameID, &sameCredential)
		}, 200, "", 0},
		"something-else": {func(w *world, _ *model.Identity, _ *model.FederatedCredential, _ *trusttest.Issuer) {
			w.identity("else")
		}, 200, "", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			issuer := trusttest.New(t)
			w.trusts(issuer)
			id := w.identity("id")
			f := &model.FederatedCredential{
				Resource: model.Resource{ID: id.ID + "/federatedIdentityCredentials/fic", Name: "fic"},
				Issuer:   issuer.URL, Subject: subject, Audiences: []string{audience}, ParentKey: id.Key(),
			}
			w.put(f)
			var once sync.Once
			issuer.HandleKeys(func(rw http.ResponseWriter, _ *http.Request) {
				once.Do(func() { test.change(w, id, f, issuer) })
				_, _ = rw.Write(issuer.JWKS())
			})
			p := w.post(tokenURL, assert(id.ClientID, issuer.KubernetesToken("lab", "workload", audience, time.Hour)))
			if test.code == 0 {
				w.issued(p)
				return
			}
			w.refused(p, test.status, test.oauth, test.code)
		})
	}
}

// The same for what a cluster is asked about.
func TestUnboundWhileTheClusterIsAsked(t *testing.T) {
	b := newBound(t, nil)
	k := &model.Cluster{Resource: model.Resource{ID: "/subscriptions/s/resourceGroups/lab/providers/Microsoft.ContainerService/managedClusters/aks"}}
	for name, key := range map[string]string{"binding": b.binding(k, b.id).Key(), "credential": b.credential(b.id).Key()} {
		t.Run(name, func(t *testing.T) {
			b.put(b.credential(b.id), b.binding(k, b.id))
			b.cluster.during = func() { check(t, b.Store.Delete(t.Context(), key, store.Any)) }
			b.refused(b.post(b.url, assert(b.id.ClientID, b.good)), 401, "invalid_client", 700211)
		})
	}
}

// Requests while identities and credentials come and go: a token is issued only
// to an identity that was there, and nothing else goes wrong.
func TestExchangesWhileThingsAreDeleted(t *testing.T) {
	w := newWorld(t, nil)
	issuer := trusttest.New(t)
	w.put(&model.Issuer{URL: issuer.URL, Keys: issuer.JWKS()})
	assertion := issuer.KubernetesToken("lab", "workload", audience, time.Hour)
	id := w.identity("id")
	key := id.Key() + model.FederatedCredentialSegment + "fic"
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				switch p := w.post(tokenURL, assert(id.ClientID, assertion)); {
				case p.status == 200 && p.Token != "", p.status == 401 && p.Codes[0] == 700211, p.status == 503:
				default:
					t.Errorf("got %d %s", p.status, p.raw)
					return
				}
			}
		})
	}
	for range 20 {
		w.identityCredential(id, issuer.URL)
		w.issued(w.post(tokenURL, assert(id.ClientID, assertion)))
		check(t, w.Store.Delete(t.Context(), key, store.Any))
		w.refused(w.post(tokenURL, assert(id.ClientID, assertion)), 401, "invalid_client", 700211)
	}
	close(done)
	wg.Wait()
}
