package cluster_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

// fixture is a store with clusters that were attached.
type fixture struct {
	t      testing.TB
	st     *store.Store
	sealer *seal.Sealer
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, st: storetest.New(t)}
	kek, err := seal.CreateKeyFile(filepath.Join(t.TempDir(), "seal.key"))
	f.check(err)
	f.sealer, err = seal.New(kek)
	f.check(err)
	return f
}

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// attached stores a cluster with a kubeconfig; change, if any, is made to it first.
func (f *fixture) attached(kubeconfig []byte, change func(*model.Cluster)) *model.Cluster {
	f.t.Helper()
	k := &model.Cluster{Resource: model.Resource{ID: "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c", Name: "c"}}
	if change != nil {
		change(k)
	}
	var err error
	k.Kubeconfig, err = f.sealer.Seal(kubeconfig, k.Key())
	f.check(err)
	_, err = f.st.Put(f.t.Context(), k, store.Any)
	f.check(err)
	return k
}

// apiServer answers JSON as it is told, and gives a kubeconfig for itself.
func apiServer(t testing.TB, answer http.HandlerFunc, change ...func(*http.Server)) (kubeconfig []byte) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, f := range change {
		f(s.Config)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return kubetest.KubeconfigOf(t, s.URL, s.Certificate(), "t")
}
