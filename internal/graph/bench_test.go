package graph_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// many makes n managed identities.
func (e *env) many(b *testing.B, n int) (last *model.Identity) {
	b.Helper()
	var ops []store.Op
	for i := range n {
		name := fmt.Sprintf("identity-%05d", i)
		last = &model.Identity{
			Resource: model.Resource{ID: sub + "/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name, Name: name},
			TenantID: tenant, ClientID: model.NewUUID(), PrincipalID: model.NewUUID(),
		}
		if ops = append(ops, store.Op{Value: last}); len(ops) == store.MaxOps || i == n-1 {
			_, err := e.Store.Commit(context.Background(), ops...)
			must(b, err)
			ops = nil
		}
	}
	return last
}

// BenchmarkFind is what az does to every name and client id, among 20,000.
func BenchmarkFind(b *testing.B) {
	e := newEnv(b)
	last := e.many(b, 20_000)
	for name, filter := range map[string]string{
		"client-id": "servicePrincipalNames/any(c:c%20eq%20'" + last.ClientID + "')",
		"name":      "displayName%20eq%20'" + last.Name + "'",
		"prefix":    "startswith(displayName,'" + last.Name + "')",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got := e.do(b, "GET", "/servicePrincipals?$filter="+filter, ""); len(got.Value) != 1 {
					b.Fatalf("found %s", got.Raw)
				}
			}
		})
	}
}
