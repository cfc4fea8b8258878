package arm_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const deleted = subID + "/providers/Microsoft.KeyVault/locations/eastus/deletedVaults"

// secret stores one as the vault surface does.
func (l *lab) secret(vault string) {
	l.t.Helper()
	_, err := l.Store.Commit(l.t.Context(),
		store.Op{Value: &model.Item{ItemKind: model.Secrets, Vault: vault, Name: "db", Current: "v1"}},
		store.Op{Value: &model.ItemVersion{ItemKind: model.Secrets, Vault: vault, Name: "db", Version: "v1"}, Blob: []byte("sealed")})
	l.check(err)
}

func TestVaultLife(t *testing.T) {
	l := newLab(t).withGroup()
	made := l.must(200, "PUT", vaults+"/KV-life", plainVault)
	p := made.properties()
	if p["vaultUri"] != "https://kv-life.vault.lanyard.localhost/" || p["provisioningState"] != "Succeeded" || p["enableSoftDelete"] != true {
		t.Errorf("properties %v", p)
	}
	l.secret("kv-life")
	l.must(200, "DELETE", vaults+"/kv-life", "")
	l.must(404, "GET", vaults+"/kv-life", "")
	l.must(204, "DELETE", vaults+"/kv-life", "")
	if a := l.as("admin", "PUT", vaults+"/kv-life", plainVault); a.status != 409 || a.code() != "VaultAlreadyExists" {
		t.Errorf("the name of a deleted vault: %d %s", a.status, a.code())
	}
	gone := l.must(200, "GET", deleted+"/kv-life", "").properties()
	if !strings.EqualFold(gone["vaultId"].(string), vaults+"/kv-life") || gone["scheduledPurgeDate"] != "2027-02-21T12:00:00Z" {
		t.Errorf("deleted vault %v", gone)
	}
	if got := l.must(200, "GET", subID+"/providers/Microsoft.KeyVault/deletedVaults", "").values(); len(got) != 1 {
		t.Errorf("deleted vaults %v", got)
	}

	l.must(200, "PUT", vaults+"/kv-life", `{"location":"eastus","properties":{"createMode":"recover","tenantId":"`+tenant+`","sku":{"family":"A","name":"standard"}}}`)
	if l.view().Get(model.ItemKey(model.Secrets, "kv-life", "db")) == nil {
		t.Error("the recovered vault lost its secret")
	}
	l.must(404, "GET", deleted+"/kv-life", "")

	l.must(200, "DELETE", vaults+"/kv-life", "")
	purged := l.must(202, "POST", deleted+"/kv-life/purge", "")
	l.must(200, "GET", purged.header.Get("Location"), "")
	v := l.view()
	for e := range v.Prefix("/vaults/kv-life/", "") {
		t.Errorf("after the purge there is %s", e.Key)
	}
	l.must(200, "PUT", vaults+"/kv-life", plainVault)
}

func TestVaultNamesAreUniqueInARace(t *testing.T) {
	l := newLab(t)
	groups := []string{"one", "two", "three", "four"}
	for _, g := range groups {
		l.must(201, "PUT", subID+"/resourceGroups/"+g, east)
	}
	for round := range 5 {
		statuses := make([]string, len(groups))
		var wg sync.WaitGroup
		for i, g := range groups {
			wg.Go(func() {
				path := fmt.Sprintf("%s/resourceGroups/%s/providers/Microsoft.KeyVault/vaults/race-%d", subID, g, round)
				if a, err := l.try("admin", "PUT", path, plainVault); err == nil {
					statuses[i] = fmt.Sprint(a.status, a.code())
				}
			})
		}
		wg.Wait()
		won := 0
		for _, s := range statuses {
			if s == "200" {
				won++
			} else if s != "409VaultAlreadyExists" {
				t.Errorf("an answer was %q", s)
			}
		}
		if won != 1 {
			t.Errorf("round %d: %d won, want 1: %v", round, won, statuses)
		}
	}
}

func TestVaultDefaultsByVersion(t *testing.T) {
	l := newLab(t).withGroup()
	roles := func(a *answer) bool { return a.properties()["enableRbacAuthorization"] == true }
	if roles(l.must(200, "PUT", vaults+"/kv-old?api-version=2023-07-01", plainVault)) {
		t.Error("an old version made a vault with roles")
	}
	if !roles(l.must(200, "PUT", vaults+"/kv-new?api-version=2026-02-01", plainVault)) {
		t.Error("version 2026-02-01 made a vault with access policies")
	}
	if roles(l.must(200, "PUT", vaults+"/kv-old?api-version=2026-02-01", plainVault)) {
		t.Error("an update changed to roles")
	}
	if !roles(l.must(200, "PATCH", vaults+"/kv-new", `{"properties":{}}`)) {
		t.Error("a PATCH changed to access policies")
	}
}

func TestWholeVaultComesBack(t *testing.T) {
	// az keyvault set-policy reads the vault, adds a policy and writes all back.
	l := newLab(t).withGroup()
	l.must(200, "PUT", vaults+"/kv-az", plainVault)
	l.must(200, "PUT", vaults+"/kv-az", `{"id":"x","name":"y","type":"z","location":"eastus","tags":{},"systemData":{"createdAt":"2020-01-01"},
		"properties":{"tenantId":"`+tenant+`","sku":{"family":"A","name":"standard"},"vaultUri":"https://evil.example/","provisioningState":"Failed",
		"publicNetworkAccess":"Enabled","networkAcls":{"bypass":"AzureServices","defaultAction":"Allow","ipRules":[],"virtualNetworkRules":[]},
		"accessPolicies":[{"tenantId":"`+tenant+`","objectId":"`+strings.ToUpper(reader)+`","permissions":{"secrets":["Get","ALL"],"keys":["WRAPKEY"],"certificates":null}}]}}`)
	got := l.must(200, "GET", vaults+"/kv-az", "")
	p := got.properties()
	if p["vaultUri"] != "https://kv-az.vault.lanyard.localhost/" || p["provisioningState"] != "Succeeded" || got.body["name"] != "kv-az" {
		t.Errorf("read-only members were taken over: %v", got.body)
	}
	want := "map[objectId:" + reader + " permissions:map[certificates:[] keys:[wrapKey] secrets:[get all] storage:[]] tenantId:" + tenant + "]"
	if s := fmt.Sprint(p["accessPolicies"]); s != "["+want+"]" {
		t.Errorf("policies %s, want [%s]", s, want)
	}
}

func TestAccessPolicyOperations(t *testing.T) {
	l := newLab(t).withGroup()
	l.must(200, "PUT", vaults+"/kv-pol", plainVault)
	change := func(op, who, words string) string {
		t.Helper()
		body := `{"properties":{"accessPolicies":[{"tenantId":"` + tenant + `","objectId":"` + who + `","permissions":{"secrets":[` + words + `]}}]}}`
		l.must(200, "PUT", vaults+"/kv-pol/accessPolicies/"+op, body)
		var out []string
		for _, p := range l.must(200, "GET", vaults+"/kv-pol", "").properties()["accessPolicies"].([]any) {
			m := p.(map[string]any)
			out = append(out, m["objectId"].(string)[:1]+fmt.Sprint(m["permissions"].(map[string]any)["secrets"]))
		}
		return strings.Join(out, " ")
	}
	for _, step := range [][4]string{
		{"add", reader, `"get"`, "b[get]"},
		{"add", reader, `"list","get"`, "b[get list]"},
		{"add", nobody, `"set"`, "b[get list] c[set]"},
		{"replace", reader, `"purge"`, "c[set] b[purge]"},
		{"remove", nobody, `"set","get"`, "b[purge]"},
		{"remove", admin, `"get"`, "b[purge]"},
	} {
		if got := change(step[0], step[1], step[2]); got != step[3] {
			t.Errorf("%s %s: %s, want %s", step[0], step[2], got, step[3])
		}
	}
}

func TestPurgeProtection(t *testing.T) {
	l := newLab(t).withGroup()
	l.must(200, "PUT", vaults+"/kv-safe", strings.Replace(plainVault, `"sku"`, `"enablePurgeProtection":true,"softDeleteRetentionInDays":7,"sku"`, 1))
	if a := l.as("admin", "PATCH", vaults+"/kv-safe", `{"properties":{"enablePurgeProtection":false}}`); a.status != 400 {
		t.Errorf("taking protection back: %d", a.status)
	}
	l.must(200, "DELETE", vaults+"/kv-safe", "")
	l.must(405, "POST", deleted+"/kv-safe/purge", "")

	l.check(l.arm.PurgeExpired(t.Context()))
	l.must(200, "GET", deleted+"/kv-safe", "")
	l.now = l.now.AddDate(0, 0, 8)
	l.check(l.arm.PurgeExpired(t.Context()))
	l.must(404, "GET", deleted+"/kv-safe", "")
	l.must(200, "PUT", vaults+"/kv-safe", plainVault)
}

func TestRecoveryOnlyWhereItWas(t *testing.T) {
	l := newLab(t).withGroup()
	l.must(201, "PUT", subID+"/resourceGroups/thief", east)
	l.must(200, "PUT", vaults+"/kv-mine", plainVault)
	l.must(200, "DELETE", vaults+"/kv-mine", "")
	path := strings.Replace(vaults, "/lab/", "/thief/", 1) + "/kv-mine"
	if a := l.as("admin", "PUT", path, `{"location":"eastus","properties":{"createMode":"recover"}}`); a.status != 409 {
		t.Errorf("recovered into another group: %d", a.status)
	}
	if a := l.as("admin", "PUT", vaults+"/kv-mine", `{"location":"westus","properties":{"createMode":"recover"}}`); a.status != 404 {
		t.Errorf("recovered in another location: %d", a.status)
	}
}
