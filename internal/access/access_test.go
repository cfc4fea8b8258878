package access

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

const (
	tenant  = "11111111-1111-1111-1111-111111111111"
	ownerID = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	readID  = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	sub     = "/subscriptions/22222222-2222-2222-2222-222222222222"
	group   = sub + "/resourceGroups/team"
	vaultID = group + "/providers/Microsoft.KeyVault/vaults/kv"
	read    = "Microsoft.KeyVault/vaults/read"
	write   = "Microsoft.KeyVault/vaults/write"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a gate with a real store and a real log.
type world struct {
	t     testing.TB
	store *store.Store
	gate  *Gate
	dir   string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, store: storetest.New(t), dir: filepath.Join(t.TempDir(), "audit")}
	now := func() time.Time { return noon }
	log, err := audit.Open(audit.Config{Dir: w.dir, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	w.gate = New(Config{Audit: log, Now: now})
	w.put(&model.Instance{TenantID: tenant})
	return w
}

func (w *world) put(o model.Object) {
	w.t.Helper()
	if _, err := w.store.Put(context.Background(), o, store.Any); err != nil {
		w.t.Fatal(err)
	}
}

// principals are there for callers to be.
func (w *world) principals(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.put(&model.Identity{Resource: model.Resource{ID: "/identities/" + id, Name: id}, TenantID: tenant, ClientID: "client-" + id, PrincipalID: id})
	}
}

func (w *world) assign(principal, roleID, scope string) *model.RoleAssignment {
	w.t.Helper()
	w.principals(principal)
	return w.assignOnly(principal, roleID, scope)
}

// assignOnly is assign for a principal that is there, or is to be missing.
func (w *world) assignOnly(principal, roleID, scope string) *model.RoleAssignment {
	w.t.Helper()
	name := model.NewUUID()
	a := &model.RoleAssignment{
		Resource: model.Resource{ID: strings.TrimSuffix(scope, "/") + "/providers/Microsoft.Authorization/roleAssignments/" + name, Name: name},
		Scope:    scope, RoleID: roleID, PrincipalID: principal,
	}
	w.put(a)
	return a
}

func (w *world) view() *store.View {
	w.t.Helper()
	v, err := w.store.View()
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// ctx is a request's, with a new id.
func (w *world) ctx() (context.Context, string) {
	id := model.NewUUID()
	return obs.WithRequest(context.Background(), &obs.Request{ID: id, Correlation: "c-" + id, Remote: "127.0.0.1"}), id
}

func (w *world) recorded(id string) audit.Record {
	w.t.Helper()
	records, err := w.gate.Find(context.Background(), id)
	if err != nil || len(records) != 1 {
		w.t.Fatalf("request %s has the records %v, %v; want one", id, records, err)
	}
	return records[0]
}

func caller(objectID string) model.Caller {
	return model.Caller{ObjectID: objectID, AppID: "app", TenantID: tenant, Issuer: "iss", Type: "app"}
}

// verdict checks that an answer and its record agree, and gives the record.
func (w *world) verdict(id string, err error, granted bool) audit.Record {
	w.t.Helper()
	r := w.recorded(id)
	if r.Granted != granted || (err == nil) != granted {
		w.t.Errorf("answer %v, recorded granted=%v (%s), want granted=%v", err, r.Granted, r.Reason, granted)
	}
	d, denied := errors.AsType[*Denied](err)
	if denied == granted || !granted && (apierr.KindOf(err) != apierr.Forbidden || d.Action != r.Action) {
		w.t.Errorf("error %v of kind %v", err, apierr.KindOf(err))
	}
	return r
}

func TestCheck(t *testing.T) {
	w := newWorld(t)
	w.assign("owner", ownerID, "/")
	w.assign("reader", readID, strings.ToLower(group))
	w.assign("delegate", "8b54135c-b56d-4d72-a534-26097cfdc8d8", group)
	w.assign("odd", model.NewUUID(), "/")
	w.assign("user", secretsUser, vaultID)
	w.assign("", ownerID, "/")
	foreign := caller("owner")
	foreign.TenantID = model.NewUUID()

	tests := []struct {
		name          string
		caller        model.Caller
		action, scope string
		granted       bool
		reason        string
	}{
		{"owner-at-root", caller("owner"), write, vaultID, true, "role Owner at /"},
		{"owner-in-capitals", caller("OWNER"), strings.ToUpper(write), strings.ToUpper(vaultID), true, "role Owner at /"},
		{"reader-below", caller("reader"), read, vaultID, true, "role Reader at " + strings.ToLower(group)},
		{"reader-writes", caller("reader"), write, vaultID, false,
			"no role assignment at or above " + vaultID + " allows " + write + "; the principal holds Reader at " + strings.ToLower(group)},
		{"reader-above", caller("reader"), read, sub, false, "holds Reader at"},
		{"reader-beside", caller("reader"), read, group + "2", false, "holds Reader at"},
		{"nobody", caller("nobody"), read, vaultID, false, "the principal holds no role"},
		{"no-object-id", caller(""), read, vaultID, false, "names no object id"},
		{"unknown-role", caller("odd"), read, vaultID, false, "holds the unknown role"},
		{"other-tenant", foreign, read, vaultID, false, "another tenant"},
		{"data-role-on-control-plane", caller("user"), ActionGetSecret, vaultID, false, "holds Key Vault Secrets User at"},
		{"delegate-without-role", caller("delegate"), ActionWriteAssignment, vaultID, false, "holds Key Vault Data Access Administrator"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, id := w.ctx()
			r := w.verdict(id, w.gate.Check(ctx, w.view(), tt.caller, tt.action, tt.scope), tt.granted)
			if !strings.Contains(r.Reason, tt.reason) || (r.Code == "") != tt.granted {
				t.Errorf("reason %q, code %q; want %q", r.Reason, r.Code, tt.reason)
			}
			want := audit.Record{Time: noon, ID: id, Correlation: "c-" + id, Remote: "127.0.0.1", Action: tt.action,
				Resource: tt.scope, Granted: tt.granted, Caller: &tt.caller, Reason: r.Reason, Code: r.Code}
			if tt.granted && strings.EqualFold(tt.action, write) {
				want.Outcome = &audit.Outcome{Code: audit.Pending}
			}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			if got := w.gate.Allowed(w.view(), tt.caller, tt.action, tt.scope); got != tt.granted {
				t.Errorf("Allowed = %v, want %v", got, tt.granted)
			}
		})
	}
}

func TestCheckAssignment(t *testing.T) {
	w := newWorld(t)
	w.assign("delegate", "8b54135c-b56d-4d72-a534-26097cfdc8d8", group)
	w.assign("owner", ownerID, "/")
	for _, action := range []string{ActionWriteAssignment, ActionDeleteAssignment, strings.ToLower(ActionWriteAssignment)} {
		for _, tt := range []struct {
			who, role string
			granted   bool
		}{
			{"delegate", strings.ToUpper(secretsUser), true}, {"delegate", ownerID, false}, {"delegate", "", false},
			{"owner", ownerID, true}, {"owner", "", true},
		} {
			ctx, id := w.ctx()
			w.verdict(id, w.gate.CheckAssignment(ctx, w.view(), caller(tt.who), action, vaultID, tt.role), tt.granted)
		}
	}
}

func TestManyAssignmentsInAReason(t *testing.T) {
	w := newWorld(t)
	for range maxHeld + 5 {
		w.assign("busy", readID, group)
	}
	ctx, id := w.ctx()
	r := w.verdict(id, w.gate.Check(ctx, w.view(), caller("busy"), write, vaultID), false)
	if got := strings.Count(r.Reason, "Reader at"); got != maxHeld || !strings.HasSuffix(r.Reason, ", and more") {
		t.Errorf("reason %q", r.Reason)
	}
}

func TestNothingWithoutARecord(t *testing.T) {
	w := newWorld(t)
	w.assign("owner", ownerID, "/")
	vault := &model.Vault{Resource: model.Resource{ID: vaultID}, TenantID: tenant,
		Policies: []model.AccessPolicy{{TenantID: tenant, ObjectID: "owner", Secrets: []string{"get"}}}}
	files := []string{"audit-00000001.jsonl", "change-00000001.jsonl", "refused-00000001.jsonl"}
	for _, name := range files {
		file := filepath.Join(w.dir, name)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/dev/full", file); err != nil {
			t.Fatal(err)
		}
	}

	ctx, id := w.ctx()
	for name, err := range map[string]error{
		"granted":       w.gate.Check(ctx, w.view(), caller("owner"), write, vaultID),
		"refused":       w.gate.Check(ctx, w.view(), caller("nobody"), write, vaultID),
		"vault-granted": w.gate.CheckVault(ctx, w.view(), caller("owner"), vault, ask(ActionGetSecret, "secrets/db")),
		"exchange":      w.gate.Exchange(ctx, &audit.Record{Granted: true}),
	} {
		if apierr.KindOf(err) != apierr.Unavailable {
			t.Errorf("%s: %v, want kind unavailable", name, err)
		}
	}

	for _, name := range files {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w.verdict(id, w.gate.Check(ctx, w.view(), caller("owner"), write, vaultID), true)
	if b, err := os.ReadFile(filepath.Join(w.dir, files[1])); err != nil || !strings.Contains(string(b), id) {
		t.Errorf("the record on disk is %q, %v", b, err)
	}
}

func TestExchangeFillsTheRequestIn(t *testing.T) {
	w := newWorld(t)
	ctx, id := w.ctx()
	r := &audit.Record{ID: "forged", Time: noon.Add(time.Hour), Action: "token", Exchange: &audit.Exchange{Issuer: "iss"}}
	if err := w.gate.Exchange(ctx, r); err != nil {
		t.Fatal(err)
	}
	want := audit.Record{Time: noon, ID: id, Correlation: "c-" + id, Remote: "127.0.0.1", Action: "token", Exchange: r.Exchange}
	if diff := cmp.Diff(want, w.recorded("c-"+id)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

// Adding an assignment takes nothing away, and removing one gives nothing.
func TestAssignmentsOnlyAdd(t *testing.T) {
	w := newWorld(t)
	scopes := []string{"/", sub, group, group + "2", vaultID, vaultID + "/secrets/db"}
	actions := append([]string{read, write, ActionWriteAssignment, "Microsoft.Authorization/roleAssignments/read"}, dataActions...)
	roles := Roles()
	rapid.Check(t, func(t *rapid.T) {
		who := model.NewUUID()
		permissions := func() map[string]bool {
			held, c, v := map[string]bool{}, caller(who), w.view()
			for _, s := range scopes {
				for _, a := range actions {
					held[a+" on "+s] = w.gate.byRoles(v, &c, query{action: a, scope: s}).granted
					held[a+" in "+s] = w.gate.byRoles(v, &c, query{action: a, scope: s, data: true}).granted
				}
			}
			return held
		}
		within := func(less, more map[string]bool, what string) {
			for p, held := range less {
				if held && !more[p] {
					t.Fatalf("%s: %s", what, p)
				}
			}
		}
		var assigned []*model.RoleAssignment
		before := permissions()
		within(before, nil, "without any assignment there is")
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			if len(assigned) > 0 && rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
				i := rapid.IntRange(0, len(assigned)-1).Draw(t, "which")
				if err := w.store.Delete(context.Background(), assigned[i].Key(), store.Any); err != nil {
					t.Fatal(err)
				}
				assigned = append(assigned[:i], assigned[i+1:]...)
				after := permissions()
				within(after, before, "removing gave")
				before = after
				continue
			}
			role := rapid.SampledFrom(roles).Draw(t, "role")
			assigned = append(assigned, w.assign(who, role.ID, rapid.SampledFrom(scopes).Draw(t, "scope")))
			after := permissions()
			within(before, after, "adding took")
			before = after
		}
	})
}
