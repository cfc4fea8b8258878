package store_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

func keys(entries func(func(*store.Entry) bool)) []string {
	var all []string
	for e := range entries {
		all = append(all, e.Key)
	}
	return all
}

// checkView compares a View with a plain map of objects.
func checkView(t *rapid.T, v *store.View, want map[string]*model.Application) {
	if v.Len() != len(want) {
		t.Fatalf("the View has %d objects, want %d", v.Len(), len(want))
	}
	index := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		e := v.Get(key)
		if e == nil {
			t.Fatalf("%s is missing", key)
		}
		if diff := cmp.Diff(want[key], e.Value); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", key, diff)
		}
		for _, i := range want[key].Index() {
			index[i] = append(index[i], key)
		}
	}
	for i, want := range index {
		if diff := cmp.Diff(want, keys(v.Lookup(i))); diff != "" {
			t.Fatalf("Lookup(%q) (-want +got):\n%s", i, diff)
		}
	}
	for _, prefix := range []string{"/", "/applications/", "/applications/a", "/applications/ab", "/none"} {
		for _, after := range []string{"", "/applications/a", "/applications/ab", "/applications/b", "/z"} {
			var wanted []string
			for _, key := range slices.Sorted(maps.Keys(want)) {
				if strings.HasPrefix(key, prefix) && key > after {
					wanted = append(wanted, key)
				}
			}
			if diff := cmp.Diff(wanted, keys(v.Prefix(prefix, after))); diff != "" {
				t.Fatalf("Prefix(%q, %q) (-want +got):\n%s", prefix, after, diff)
			}
		}
	}
}

// Whatever is written, a View that followed, one of another replica and one
// that was listed anew show the same as a map. Old Views do not change.
func TestViewIsLikeAMap(t *testing.T) {
	etcd := storetest.Etcd(t)
	instance := 0
	rapid.Check(t, func(rt *rapid.T) {
		instance++
		prefix := fmt.Sprintf("/test%d", instance)
		writer := storetest.With(t, store.Config{Client: etcd, Prefix: prefix})
		reader := storetest.With(t, store.Config{Client: etcd, Prefix: prefix})

		want := map[string]*model.Application{}
		id := rapid.SampledFrom([]string{"a", "ab", "abc", "b", "c"})
		principal := rapid.SampledFrom([]string{"p", "q"})
		var old *store.View
		var oldWant map[string]*model.Application
		for range rapid.IntRange(1, 8).Draw(rt, "commits") {
			ops := map[string]store.Op{}
			next := maps.Clone(want)
			if rapid.IntRange(0, 9).Draw(rt, "tree") == 0 {
				op := store.Op{Key: app(id.Draw(rt, "root"), "").Key(), Tree: true, Rev: store.Any}
				ops[op.Key] = op
				maps.DeleteFunc(next, func(k string, _ *model.Application) bool { return strings.HasPrefix(k, op.Key) })
			} else {
				for range rapid.IntRange(1, 4).Draw(rt, "ops") {
					a := app(id.Draw(rt, "id"), principal.Draw(rt, "principal"))
					if rapid.Bool().Draw(rt, "delete") {
						ops[a.Key()] = store.Op{Key: a.Key(), Rev: store.Any}
						delete(next, a.Key())
					} else {
						ops[a.Key()] = store.Op{Value: a, Rev: store.Any}
						next[a.Key()] = a
					}
				}
			}
			if _, err := writer.Commit(t.Context(), slices.Collect(maps.Values(ops))...); err != nil {
				rt.Fatal(err)
			}
			want = next
			v, err := writer.View()
			if err != nil {
				rt.Fatal(err)
			}
			checkView(rt, v, want)
			if old == nil {
				old, oldWant = v, want
			}
		}
		checkView(rt, fresh(t, reader), want)
		checkView(rt, view(t, storetest.With(t, store.Config{Client: etcd, Prefix: prefix})), want)
		checkView(rt, old, oldWant)
	})
}

func TestGetOfAnotherType(t *testing.T) {
	s := storetest.New(t)
	put(t, s, app("a", "p"))
	if _, _, ok := store.Get[*model.Vault](view(t, s), app("a", "").Key()); ok {
		t.Error("an application was given for a vault")
	}
}

// BenchmarkFind finds the credential for an assertion among many.
func BenchmarkFind(b *testing.B) {
	s := storetest.New(b)
	var ops []store.Op
	for i := range 20 * store.MaxOps {
		parent := fmt.Sprintf("/subscriptions/s/resourcegroups/g/providers/microsoft.managedidentity/userassignedidentities/id%d", i)
		c := &model.FederatedCredential{
			Issuer: "https://issuer.example", Subject: "system:serviceaccount:ns:sa", Audiences: []string{"aud"}, ParentKey: parent,
		}
		c.ID = parent + model.FederatedCredentialSegment + "c"
		if ops = append(ops, store.Op{Value: c}); len(ops) == store.MaxOps {
			if _, err := s.Commit(b.Context(), ops...); err != nil {
				b.Fatal(err)
			}
			ops = nil
		}
	}
	index := model.FederationIndex("/subscriptions/s/resourcegroups/g/providers/microsoft.managedidentity/userassignedidentities/id77",
		"https://issuer.example", "system:serviceaccount:ns:sa")
	for b.Loop() {
		v, err := s.View()
		if err != nil || v.First(index) == nil {
			b.Fatal("not found", err)
		}
	}
}
