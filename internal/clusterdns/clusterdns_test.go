package clusterdns_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/clusterdns"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

const services = `
apiVersion: v1
kind: Namespace
metadata: {name: lanyard}
---
apiVersion: v1
kind: Service
metadata: {name: lanyard, namespace: lanyard}
spec: {ports: [{port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: vault, namespace: lanyard}
spec: {clusterIP: None, ports: [{port: 443}]}
---
# Somebody else's: it is to stay.
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: other, namespace: lanyard, labels: {kubernetes.io/service-name: vault}}
addressType: IPv4
endpoints: []
---
# What the chart grants, and no more.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: dns, namespace: lanyard}
rules:
  - {apiGroups: [""], resources: [services], resourceNames: [lanyard], verbs: [get]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, create, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dns, namespace: lanyard}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: dns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: lanyard}]
`

var zones = []names.Zone{{Surface: names.Vault, Label: "vault"}}

type fixture struct {
	admin *kube.Cluster
	store *store.Store
}

func connect(t *testing.T, kubeconfig []byte) *kube.Cluster {
	t.Helper()
	k, err := kube.Connect(kube.Config{Kubeconfig: kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func (f *fixture) vaults(t *testing.T, names ...string) {
	t.Helper()
	var ops []store.Op
	for _, n := range names {
		ops = append(ops, store.Op{Value: vault(n)})
	}
	for part := range slices.Chunk(ops, 50) {
		if _, err := f.store.Commit(t.Context(), part...); err != nil {
			t.Fatal(err)
		}
	}
}

func vault(name string) *model.Vault {
	return &model.Vault{Resource: model.Resource{
		ID:   "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/" + name,
		Name: name,
	}}
}

func newStore(t *testing.T, tenant string) *store.Store {
	t.Helper()
	s := storetest.New(t)
	if _, err := s.Put(t.Context(), &model.Instance{TenantID: tenant}, 0); err != nil {
		t.Fatal(err)
	}
	return s
}

// hostnames are those of all our slices, and in how many slices they are.
func (f *fixture) hostnames(t *testing.T, service string) (names []string, count int) {
	t.Helper()
	all, err := f.admin.List(t.Context(), kube.Ref{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice", Namespace: "lanyard"},
		kube.ListOptions{LabelSelector: "endpointslice.kubernetes.io/managed-by=lanyard.io,kubernetes.io/service-name=" + service})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		var s struct {
			Endpoints []struct{ Hostname string }
		}
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Endpoints {
			names = append(names, e.Hostname)
		}
	}
	slices.Sort(names)
	return names, len(all)
}

// await waits until the cluster has exactly these names.
func (f *fixture) await(t *testing.T, want []string) (count int) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		got, count := f.hostnames(t, "vault")
		if slices.Equal(got, want) {
			return count
		}
		select {
		case <-deadline:
			t.Fatalf("the cluster's names (-want +got):\n%s", cmp.Diff(want, got))
		case <-tick.C:
		}
	}
}

func TestNamesFollowTheStore(t *testing.T) {
	s := kubetest.Start(t)
	f := &fixture{admin: connect(t, s.Kubeconfig), store: newStore(t, "tenant")}
	if _, err := f.admin.Apply(t.Context(), []byte(services), "test"); err != nil {
		t.Fatal(err)
	}
	limited := connect(t, s.KubeconfigFor(t, time.Now().Add(time.Hour), "lanyard"))
	both := append(zones, names.Zone{Surface: names.Vault, Label: "second"}) // as if it were of other things
	d, err := clusterdns.New(clusterdns.Config{Store: f.store, Cluster: limited, Zones: both})
	if err != nil {
		t.Fatal(err)
	}
	f.vaults(t, "First", "second")
	go func() {
		if err := d.Run(t.Context()); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	f.await(t, []string{"first", "second"})
	if got, _ := f.hostnames(t, "second"); !slices.Equal(got, []string{"first", "second"}) { // slices are written in their names' order
		t.Errorf("the other zone's names: %q", got)
	}

	var many []string
	for i := range 1500 {
		many = append(many, fmt.Sprintf("kv-%04d", i))
	}
	f.vaults(t, many...)
	if n := f.await(t, slices.Concat([]string{"first"}, many, []string{"second"})); n < 2 {
		t.Errorf("1,502 names in %d slices", n)
	}
	for _, n := range append(many, "First") {
		key := strings.ToLower(vault(n).ID)
		_, rev, _ := store.Get[*model.Vault](f.view(t), key)
		if err := f.store.Delete(t.Context(), key, rev); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.await(t, []string{"second"}); n != 1 {
		t.Errorf("one name in %d slices", n)
	}
	if _, err := f.admin.Get(t.Context(), kube.Ref{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice", Namespace: "lanyard", Name: "other"}); err != nil {
		t.Errorf("somebody else's slice: %v", err)
	}
}

func (f *fixture) view(t *testing.T) *store.View {
	t.Helper()
	v, err := f.store.View()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// run keeps the names of a store until the test ends.
func run(t *testing.T, c clusterdns.Config) {
	t.Helper()
	d, err := clusterdns.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// labelled is a slice of one name; store is its label, if any.
func labelled(name, host, store string) []byte {
	if store != "" {
		store = ", lanyard.io/store: " + store
	}
	return []byte("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + name + ", namespace: lanyard, labels: " +
		"{kubernetes.io/service-name: vault, endpointslice.kubernetes.io/managed-by: lanyard.io" + store + "}}\n" +
		"addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], hostname: " + host + "}]\n")
}

// What an older program left, without a label, is taken over; another store's
// slices are left alone, also when they have the name that ours would have.
func TestOtherStoresAreLeftAlone(t *testing.T) {
	s := kubetest.Start(t)
	f := &fixture{admin: connect(t, s.Kubeconfig), store: newStore(t, "first")}
	for _, b := range [][]byte{[]byte(services), labelled("vault-4-0", "old", ""), labelled("vault-4-1", "older", "")} {
		if _, err := f.admin.Apply(t.Context(), b, "lanyard-cluster-dns"); err != nil {
			t.Fatal(err)
		}
	}
	limited := connect(t, s.KubeconfigFor(t, time.Now().Add(time.Hour), "lanyard"))
	f.vaults(t, "first")
	run(t, clusterdns.Config{Store: f.store, Cluster: limited, Zones: zones})
	f.await(t, []string{"first"})

	// A second store, empty at first: nothing of the first's goes.
	second := &fixture{admin: f.admin, store: newStore(t, "second")}
	run(t, clusterdns.Config{Store: second.store, Cluster: limited, Zones: zones})
	second.vaults(t, "second")
	if n := f.await(t, []string{"first", "second"}); n != 2 {
		t.Errorf("two stores' names in %d slices", n)
	}
	key := strings.ToLower(vault("second").ID)
	_, rev, _ := store.Get[*model.Vault](second.view(t), key)
	if err := second.store.Delete(t.Context(), key, rev); err != nil {
		t.Fatal(err)
	}
	f.await(t, []string{"first"})

	// The first grows to a second slice, whose name was taken meanwhile.
	if _, err := f.admin.Apply(t.Context(), labelled("vault-4-1", "another", "third"), "third"); err != nil {
		t.Fatal(err)
	}
	var many []string
	for i := range 1500 {
		many = append(many, fmt.Sprintf("kv-%04d", i))
	}
	f.vaults(t, many...)
	f.await(t, slices.Concat([]string{"another", "first"}, many))
}
