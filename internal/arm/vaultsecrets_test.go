package arm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/arm"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
)

const secretsOfficerRole = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"

// TestVaultSecretIsWhatTheVaultReads: the value is sealed where the vault looks for it.
func TestVaultSecretIsWhatTheVaultReads(t *testing.T) {
	var sealer *seal.Sealer
	l := newLab(t, withClusters(t), func(c *arm.Config) { sealer = c.Sealer }).withGroup()
	l.must(200, "PUT", vaults+"/KV-Data", vaultWith(`"enableRbacAuthorization":false,"accessPolicies":[]`))
	for _, value := range []string{"first", "hunter2"} {
		l.as("admin", "PUT", vaults+"/kv-data/secrets/Db", fmt.Sprintf(`{"properties":{"value":%q}}`, value))
	}
	view, err := l.Store.Fresh(t.Context())
	l.check(err)
	h, _, ok := store.Get[*model.Item](view, model.ItemKey(model.Secrets, "kv-data", "db"))
	if !ok {
		t.Fatal("no such secret")
	}
	e := view.Get(model.VersionKey(model.Secrets, "kv-data", "db", h.Current))
	sealed, err := l.Store.Blob(t.Context(), e)
	l.check(err)
	value, err := sealer.Open(sealed, e.Key)
	if err != nil || string(value) != "hunter2" || strings.Contains(string(sealed), "hunter2") {
		t.Errorf("value %q, %v", value, err)
	}
}

// TestVaultSecretNeedsTheActions: the vault's own permissions count for nothing
// here, as in Azure, and the actions of Resource Manager for nothing there.
func TestVaultSecretNeedsTheActions(t *testing.T) {
	l := newLab(t, withClusters(t)).withGroup()
	l.must(200, "PUT", vaults+"/kv-rights", vaultWith(`"enableRbacAuthorization":true`))
	secret, body := vaults+"/kv-rights/secrets/db", `{"properties":{"value":"x"}}`
	l.grant(labGroup, secretsOfficerRole, nobody)
	for _, method := range []string{"PUT", "PATCH"} {
		if a := l.as("nobody", method, secret, body); a.status != 403 {
			t.Errorf("%s with data actions alone: %d", method, a.status)
		}
	}
	l.grant(labGroup, contributorRole, nobody)
	if a := l.as("nobody", "PUT", secret, body); a.status != 201 {
		t.Errorf("as Contributor: %d %v", a.status, a.body)
	}
}

// TestVaultSecretKeepsADeletedName, and is not there in a deleted vault.
func TestVaultSecretKeepsADeletedName(t *testing.T) {
	l := newLab(t, withClusters(t)).withGroup()
	l.must(200, "PUT", vaults+"/kv-deleted", plainVault)
	secret, body := vaults+"/kv-deleted/secrets/db", `{"properties":{"value":"x"}}`
	l.must(201, "PUT", secret, body)
	view, err := l.Store.Fresh(t.Context())
	l.check(err)
	h, rev, _ := store.Get[*model.Item](view, model.ItemKey(model.Secrets, "kv-deleted", "db"))
	gone := *h
	gone.Deleted = &model.Deletion{}
	_, err = l.Store.Put(t.Context(), &gone, rev)
	l.check(err)
	if a := l.as("admin", "PUT", secret, body); a.status != 409 || a.code() != "Conflict" {
		t.Errorf("in place of a deleted one: %d %v", a.status, a.body)
	}
	l.must(404, "GET", secret, "")
	if n := len(l.must(200, "GET", vaults+"/kv-deleted/secrets", "").values()); n != 0 {
		t.Errorf("%d secrets are listed", n)
	}
	l.must(200, "DELETE", vaults+"/kv-deleted", "")
	if a := l.as("admin", "PUT", secret, body); a.status != 404 {
		t.Errorf("in a deleted vault: %d %v", a.status, a.body)
	}
}

// TestVaultSecretsAtOnce: each of many writers adds its version.
func TestVaultSecretsAtOnce(t *testing.T) {
	l := newLab(t, withClusters(t)).withGroup()
	l.must(200, "PUT", vaults+"/kv-crowd", plainVault)
	got := l.atOnce(20, func(i int) (string, string, string, []string) {
		return "PUT", vaults + "/kv-crowd/secrets/db", fmt.Sprintf(`{"properties":{"value":"%d"}}`, i), nil
	})
	if got[200]+got[201] != 20 {
		t.Errorf("statuses %v, want twenty 200 and 201", got)
	}
	view, err := l.Store.Fresh(t.Context())
	l.check(err)
	versions := 0
	for range view.Prefix(model.VersionsKey(model.Secrets, "kv-crowd", "db"), "") {
		versions++
	}
	if versions != 20 {
		t.Errorf("%d versions, want 20", versions)
	}
}
