package vault_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/vault"
)

const day = 24 * time.Hour

func TestScheduledPurge(t *testing.T) {
	e := newEnv(t)
	const secrets = 30 // more than one commit takes
	for i := range secrets {
		name := fmt.Sprintf("s%02d", i)
		e.set(t, kv2, name, "v")
		e.set(t, kv2, name, "w")
		e.do(t, "DELETE", kv2+"/secrets/"+name+"?"+api, "")
	}
	e.set(t, kv2, "live", "v")

	e.Ahead.Store(int64(7*day - time.Hour))
	must(t, vault.Sweep(e.server, t.Context()))
	if ids, _ := e.all(t, kv2+"/deletedsecrets?"+api); len(ids) != secrets {
		t.Errorf("%d deleted secrets before their time, want %d", len(ids), secrets)
	}

	e.Ahead.Store(int64(7*day + time.Minute)) // purge protection ends with the retention
	must(t, vault.Sweep(e.server, t.Context()))
	if ids, _ := e.all(t, kv2+"/deletedsecrets?"+api); len(ids) != 0 {
		t.Errorf("left after the retention: %q", ids)
	}
	view, err := e.Store.Fresh(t.Context())
	must(t, err)
	for entry := range view.Prefix("/vaults/", "") {
		if !strings.Contains(entry.Key, "/live") {
			t.Errorf("left in the store: %s", entry.Key)
		}
	}
	if got := e.do(t, "GET", kv2+"/secrets/live/?"+api, ""); got.Value != "v" {
		t.Errorf("the live secret = %v, want %q", got.Value, "v")
	}
}

// A backup of many large versions takes several commits to restore.
func TestRestoreOfManyVersions(t *testing.T) {
	e := newEnv(t)
	const versions = 60
	want := map[string]string{}
	for i := range versions {
		value := strings.Repeat(fmt.Sprintf("%02d", i), 12_000)
		want[e.set(t, kv1, "large", value)] = value
	}
	backup := e.do(t, "POST", kv1+"/secrets/large/backup?"+api, "")
	a := e.do(t, "POST", kv2+"/secrets/restore?"+api, fmt.Sprintf(`{"value":%q}`, backup.Value))
	if a.Status != 200 {
		t.Fatalf("restore = %d %+v", a.Status, a.Error)
	}
	ids, _ := e.all(t, kv2+"/secrets/large/versions?"+api)
	if len(ids) != versions {
		t.Errorf("%d versions restored, want %d", len(ids), versions)
	}
	for id, value := range want {
		if got := e.do(t, "GET", kv2+"/secrets/large/"+id+"?"+api, ""); got.Value != value {
			t.Errorf("version %s differs", id)
		}
	}
}

// A server that died in the middle of a restore leaves a name that nobody sees
// and that is free again after the scheduled purge.
func TestUnfinishedRestore(t *testing.T) {
	e := newEnv(t)
	now := e.Now().UTC()
	claim := &model.Item{ItemKind: model.Secrets, Vault: "kv1", Name: "half", Deleted: &model.Deletion{At: now, Purge: now.Add(10 * time.Minute)}}
	version := &model.ItemVersion{ItemKind: model.Secrets, Vault: "kv1", Name: "half", Version: strings.Repeat("a", 32), Created: now.Unix()}
	_, err := e.Store.Commit(t.Context(), store.Op{Value: claim}, store.Op{Value: version, Blob: []byte("sealed")})
	must(t, err)

	live, dead := kv1+"/secrets/half", kv1+"/deletedsecrets/half"
	for _, tc := range []struct {
		method, url, body string
		want              int
		inner             string
	}{
		{"GET", live + "/?" + api, "", 404, ""},
		{"GET", dead + "?" + api, "", 404, ""},
		{"PUT", live + "?" + api, `{"value":"v"}`, 409, "ObjectIsBeingRecovered"},
		{"POST", dead + "/recover?" + api, "", 409, "ObjectIsBeingRecovered"},
		{"DELETE", dead + "?" + api, "", 409, "ObjectIsBeingRecovered"},
	} {
		if got := e.do(t, tc.method, tc.url, tc.body); got.Status != tc.want || got.Error.Inner.Code != tc.inner {
			t.Errorf("%s %s = %d %+v, want %d %s", tc.method, tc.url, got.Status, got.Error, tc.want, tc.inner)
		}
	}
	if ids, _ := e.all(t, kv1+"/deletedsecrets?"+api); len(ids) != 0 {
		t.Errorf("deleted secrets %q, want none", ids)
	}

	e.Ahead.Store(int64(11 * time.Minute))
	must(t, vault.Sweep(e.server, t.Context()))
	id := e.set(t, kv1, "half", "v")
	if ids, _ := e.all(t, live+"/versions?"+api); len(ids) != 1 || !strings.HasSuffix(ids[0], id) {
		t.Errorf("versions %q, want only %s", ids, id)
	}
}

// A sealed value opens under its own name only: one that was moved in the store
// gives an error, not another secret's value.
func TestMovedValueDoesNotOpen(t *testing.T) {
	e := newEnv(t)
	from := e.set(t, kv1, "source", "for source only")
	view, err := e.Store.Fresh(t.Context())
	must(t, err)
	sealed, err := e.Store.Blob(t.Context(), view.Get(model.VersionKey(model.Secrets, "kv1", "source", from)))
	must(t, err)

	id := strings.Repeat("b", 32)
	_, err = e.Store.Commit(t.Context(),
		store.Op{Value: &model.Item{ItemKind: model.Secrets, Vault: "kv1", Name: "target", Current: id}},
		store.Op{Value: &model.ItemVersion{ItemKind: model.Secrets, Vault: "kv1", Name: "target", Version: id}, Blob: sealed})
	must(t, err)
	got := e.do(t, "GET", kv1+"/secrets/target/?"+api, "")
	if got.Status != 500 || got.Value != nil {
		t.Errorf("GET = %d %v, want 500 and no value", got.Status, got.Value)
	}
}

// Every operation leaves a record, and none holds a value.
// records is the whole audit log.
func (e *env) records(t testing.TB) (all string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(e.Dir, "*"))
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		all += string(b)
	}
	return all
}

func TestAuditedWithoutValues(t *testing.T) {
	e := newEnv(t)
	const secret = "do-not-write-this-down"
	e.set(t, kv1, "audited", secret)
	e.do(t, "GET", kv1+"/secrets/audited/?"+api, "")
	e.do(t, "POST", kv1+"/secrets/audited/backup?"+api, "")

	records := e.records(t)
	for _, action := range []string{"setSecret", "getSecret", "backup"} {
		if !strings.Contains(records, "Microsoft.KeyVault/vaults/secrets/"+action) {
			t.Errorf("no record of %s", action)
		}
	}
	if strings.Contains(records, secret) {
		t.Error("the audit log holds the value")
	}
}

// A purge that waits for its turn heeds a protection that was switched on meanwhile.
func TestPurgeHeedsProtectionThatCameMeanwhile(t *testing.T) {
	e := newEnv(t)
	e.set(t, kv1, "kept", "v")
	if a := e.do(t, "DELETE", kv1+"/secrets/kept?"+api, ""); a.Status != http.StatusOK {
		t.Fatalf("delete: %d", a.Status)
	}
	purged := make(chan answer, 1)
	must(t, e.Store.InTurn(t.Context(), model.ItemKey(model.Secrets, "kv1", "kept"), e.View(t), func(view *store.View) error {
		go func() {
			a, _ := e.try(t.Context(), "DELETE", kv1+"/deletedsecrets/kept?"+api, "")
			purged <- a
		}()
		for len(purged) == 0 && !strings.Contains(e.records(t), "secrets/purge") { // the gate has let it in
			runtime.Gosched()
		}
		v, _, _ := store.Get[*model.Vault](view, (&model.Vault{Resource: resource("kv1")}).Key())
		protected := *v
		protected.PurgeProtected = true
		_, err := e.Store.Put(t.Context(), &protected, store.Any)
		return err
	}))
	if a := <-purged; a.Status != http.StatusForbidden {
		t.Errorf("the purge of a secret that is protected by now: %d, want 403", a.Status)
	}
}

// What is set while a vault is purged is refused, or goes with it: the next
// vault of that name begins empty.
func TestPurgedVaultLeavesNothing(t *testing.T) {
	e := newEnv(t)
	blob := func() string {
		e.set(t, kv2, "saved", "x")
		return e.do(t, "POST", kv2+"/secrets/saved/backup?"+api, "").Value.(string)
	}()
	vault := model.Vault{Resource: resource("kv1"), RetentionDays: 90, SKU: "standard", TenantID: tenant,
		Policies: []model.AccessPolicy{{TenantID: tenant, ObjectID: callers["alice"].ObjectID, Secrets: []string{"all"}}}}
	for round := range 10 {
		var writers sync.WaitGroup
		var began sync.Once
		begun := make(chan struct{})
		for n := range 8 {
			writers.Go(func() {
				for i := range 12 {
					url, method, body := fmt.Sprintf("%s/secrets/s-%d-%d?%s", kv1, n, i, api), "PUT", `{"value":"old"}`
					if n == 0 {
						url, method, body = kv1+"/secrets/restore?"+api, "POST", `{"value":"`+blob+`"}`
					}
					a, err := e.try(t.Context(), method, url, body)
					began.Do(func() { close(begun) })
					if err != nil || a.Status != 200 && a.Status != 404 && a.Status != 409 && a.Status != 429 {
						t.Errorf("%s %s: %v %d %+v", method, url, err, a.Status, a.Error)
					}
				}
			})
		}
		<-begun
		_, err := e.Store.Commit(t.Context(), store.Op{Key: vault.Key(), Rev: store.Any}, store.Op{Key: "/vaults/kv1/", Rev: store.Any, Tree: true})
		must(t, err)
		writers.Wait()
		again := vault
		_, err = e.Store.Put(t.Context(), &again, 0)
		must(t, err)
		if ids, _ := e.all(t, kv1+"/secrets?"+api); len(ids) != 0 {
			t.Fatalf("round %d: the new vault has %v", round, ids)
		}
	}
}
