package access

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

func TestWhatWrites(t *testing.T) {
	for action, want := range map[string]bool{
		read: false,
		"Microsoft.ContainerService/managedClusters/listClusterUserCredential/action": false,
		write: true, ActionWriteAssignment: true, ActionDeleteAssignment: true, "Lanyard.Trust/signingKeys/rotate/action": true, "": true,
	} {
		if got := writes(action); got != want {
			t.Errorf("writes(%q) = %v, want %v", action, got, want)
		}
	}
}

// A vault's surface says what changes nothing. What it says nothing of is a write.
func TestWhatWritesInAVault(t *testing.T) {
	w := newWorld(t)
	w.assign("user", secretsUser, vaultID)
	vault := &model.Vault{Resource: model.Resource{ID: vaultID, Name: "kv"}, TenantID: tenant, Roles: true}
	for _, reads := range []bool{true, false} {
		ctx, id := w.ctx()
		a := ask(ActionGetSecret, "secrets/db")
		a.Reads = reads
		w.verdict(id, w.gate.CheckVault(ctx, w.view(), caller("user"), vault, a), true)
		if r := w.recorded(id); (r.Outcome == nil) != reads {
			t.Errorf("Reads %v: recorded %+v", reads, r)
		}
	}
}

// A write has a record before it is begun and one that says what it did; the two
// are one for who reads them.
func TestActs(t *testing.T) {
	w := newWorld(t)
	w.assign("owner", ownerID, "/")
	ctx, id := w.ctx()
	w.verdict(id, w.gate.Check(ctx, w.view(), caller("owner"), write, vaultID), true)
	if r := w.recorded(id); r.Outcome == nil || r.Outcome.Code != audit.Pending {
		t.Errorf("before the act: %+v", r)
	}
	v := &model.Vault{Resource: model.Resource{ID: vaultID, Name: "kv"}, Roles: true}
	before := *v
	before.Roles = false
	before.Policies = []model.AccessPolicy{{ObjectID: "kept", Secrets: []string{"get"}}, {ObjectID: "gone", Secrets: []string{"all"}}}
	v.Policies = before.Policies[:1]
	w.put(&before)
	undo := Observe(ctx, w.view(), []store.Op{{Value: &model.Item{ItemKind: model.Secrets, Vault: "kv", Name: "lost"}}})
	undo() // a race that was lost
	Observe(ctx, w.view(), []store.Op{{Value: v, Rev: store.Any}, {Key: "/nothing"}, {Key: v.Key(), Check: true}, {Key: vaultID + "/", Tree: true}})
	if err := w.gate.Finish(ctx, 200, ""); err != nil {
		t.Fatal(err)
	}
	if err := w.gate.Finish(ctx, 500, "again"); err != nil {
		t.Fatal(err)
	}
	r := w.recorded(id)
	if diff := cmp.Diff(&audit.Outcome{Status: 200}, r.Outcome); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	same := map[string]string{"purgeProtection": "false", "retentionDays": "0", "closed": "false", "deleted": "false", "firewall": "off"}
	old, now := map[string]string{"permissions": "policies", "policy gone": "all"}, map[string]string{"permissions": "roles"}
	for k, value := range same {
		old[k], now[k] = value, value
	}
	if diff := cmp.Diff([]audit.Change{{Object: vaultID, Kind: "Vault", Before: old, After: now}}, r.Changes); diff != "" {
		t.Errorf("change (-want +got):\n%s", diff)
	}
	if Observe(ctx, w.view(), nil) != nil || Observe(context.Background(), w.view(), nil) != nil {
		t.Error("writes are noted after the end, or without a request")
	}
}

// Failed and not written: there is no answer.
func TestNoOutcomeNoAnswer(t *testing.T) {
	w := newWorld(t)
	w.assign("owner", ownerID, "/")
	ctx, _ := w.ctx()
	if err := w.gate.Check(ctx, w.view(), caller("owner"), write, vaultID); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.dir, "change-00000001.jsonl")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", file); err != nil {
		t.Fatal(err)
	}
	if err := w.gate.Finish(ctx, 200, ""); apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("Finish = %v, want kind unavailable", err)
	}
}
