package arm_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/lanyard-io/lanyard/internal/arm"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

func TestIdentityKeepsItsIDs(t *testing.T) {
	l := newLab(t).withGroup()
	first := l.must(201, "PUT", identities+"/web", `{"location":"eastus","tags":{"a":"1"}}`).properties()
	if first["tenantId"] != tenant || first["clientId"] == first["principalId"] || first["clientId"] == "" {
		t.Errorf("properties %v", first)
	}
	again := l.must(200, "PUT", identities+"/web", east)
	if fmt.Sprint(again.properties()) != fmt.Sprint(first) {
		t.Errorf("after a second PUT %v, was %v", again.properties(), first)
	}
	if tags := again.body["tags"]; fmt.Sprint(tags) != "map[]" {
		t.Errorf("a PUT without tags left %v", tags)
	}
	patched := l.must(200, "PATCH", identities+"/web", `{"tags":{"b":"2"}}`)
	if fmt.Sprint(patched.body["tags"]) != "map[b:2]" || fmt.Sprint(patched.properties()) != fmt.Sprint(first) {
		t.Errorf("after a PATCH %v", patched.body)
	}
}

func TestLimitOfCredentialsHoldsInARace(t *testing.T) {
	l := newLab(t, func(c *arm.Config) { c.MaxCredentials = 3 }).withGroup()
	l.must(201, "PUT", identities+"/web", east)
	credentials := identities + "/web/federatedIdentityCredentials"
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			a, err := l.try("admin", "PUT", fmt.Sprintf("%s/cred-%d", credentials, i), credential("https://a.example", fmt.Sprint("s", i)))
			if err != nil || a.status != 201 && a.status != 400 {
				t.Errorf("%v %v", a, err)
			}
		})
	}
	wg.Wait()
	if got := len(l.must(200, "GET", credentials, "").values()); got != 3 {
		t.Errorf("%d credentials, want 3", got)
	}
	if a := l.as("admin", "PUT", credentials+"/one-more", credential("https://b.example", "s")); a.status != 400 {
		t.Errorf("one over the limit: %d", a.status)
	}
	// A replacement is not one more.
	name := l.must(200, "GET", credentials, "").values()[0].(map[string]any)["name"].(string)
	l.must(200, "PUT", credentials+"/"+name, credential("https://c.example", "s"))
}

func TestSameIssuerAndSubjectCannotWinTwice(t *testing.T) {
	l := newLab(t).withGroup()
	l.must(201, "PUT", identities+"/web", east)
	credentials := identities + "/web/federatedIdentityCredentials"
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if _, err := l.try("admin", "PUT", fmt.Sprintf("%s/cred-%d", credentials, i), credential("https://a.example", "same")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(l.must(200, "GET", credentials, "").values()); got != 1 {
		t.Errorf("%d credentials for one issuer and subject, want 1", got)
	}
}

func TestNoLimitOfCredentials(t *testing.T) {
	l := newLab(t, func(c *arm.Config) { c.MaxCredentials = 0 }).withGroup()
	l.must(201, "PUT", identities+"/web", east)
	for i := range 25 {
		l.must(201, "PUT", fmt.Sprintf("%s/web/federatedIdentityCredentials/cred-%d", identities, i), credential("https://a.example", fmt.Sprint(i)))
	}
}

func TestDeletingAnIdentityTakesWhatHangsOnIt(t *testing.T) {
	l := newLab(t).withGroup()
	principal := l.must(201, "PUT", identities+"/web", east).properties()["principalId"].(string)
	l.must(201, "PUT", identities+"/web/federatedIdentityCredentials/one", credential("https://a.example", "s"))
	l.must(201, "PUT", identities+"/web2", east)
	l.must(201, "PUT", identities+"/web2/federatedIdentityCredentials/one", credential("https://a.example", "s"))
	for range 120 {
		l.grantID(labGroup, readerRole, principal)
	}
	l.must(200, "DELETE", identities+"/web", "")
	l.must(204, "DELETE", identities+"/web", "")
	v := l.view()
	if v.First(model.PrincipalIndex(principal)) != nil || v.First(model.RoleIndex(principal)) != nil {
		t.Error("the identity or its assignments are still there")
	}
	if a := l.as("admin", "GET", identities+"/web/federatedIdentityCredentials/one", ""); a.status != 404 {
		t.Errorf("its credential: %d", a.status)
	}
	l.must(200, "GET", identities+"/web2/federatedIdentityCredentials/one", "")
	l.must(201, "PUT", identities+"/web", east)
	if got := l.must(200, "GET", identities+"/web/federatedIdentityCredentials", "").values(); len(got) != 0 {
		t.Errorf("a new identity of that name has %v", got)
	}
}

// grantID gives a role to a principal that is there already.
func (l *lab) grantID(scope, role, principal string) {
	l.t.Helper()
	id := scope + "/providers/Microsoft.Authorization/roleAssignments/" + model.NewUUID()
	a := &model.RoleAssignment{Resource: model.Resource{ID: id, Name: id[len(id)-36:]}, Scope: scope, RoleID: role, PrincipalID: principal, PrincipalType: "ServicePrincipal"}
	_, err := l.Store.Commit(l.t.Context(), store.Op{Value: a})
	l.check(err)
}

func TestListsByPages(t *testing.T) {
	l := newLab(t)
	want := map[string]bool{}
	for _, g := range []string{"a", "a-b", "b"} {
		group := subID + "/resourceGroups/" + g
		l.must(201, "PUT", group, east)
		for i := range 3 {
			id := fmt.Sprintf("%s/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-%d", group, i)
			want[strings.ToLower(l.must(201, "PUT", id, east).body["id"].(string))] = true
			l.must(201, "PUT", id+"/federatedIdentityCredentials/one", credential("https://a.example", "s"))
			l.must(200, "PUT", fmt.Sprintf("%s/providers/Microsoft.KeyVault/vaults/kv-%s-%d", group, g, i), plainVault)
		}
	}
	all := subID + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
	for _, top := range []int{1, 2, 3, 4, 100} {
		got := l.pages(fmt.Sprintf("%s?$top=%d", all, top), top)
		if len(got) != len(want) {
			t.Errorf("$top=%d: %d identities, want %d", top, len(got), len(want))
		}
		for id := range got {
			if !want[id] {
				t.Errorf("$top=%d: unexpected %s", top, id)
			}
		}
	}
	if got := l.pages(subID+"/resources?$top=4", 4); len(got) != 18 {
		t.Errorf("%d resources, want 18", len(got))
	}
	if got := l.pages(subID+"/resourceGroups/a-b/resources?$top=2", 2); len(got) != 6 {
		t.Errorf("%d resources of a group, want 6", len(got))
	}
	filter := url.QueryEscape("resourceType eq 'Microsoft.KeyVault/vaults' and name eq 'KV-A-1'")
	if got := l.pages(subID+"/resources?%24filter="+filter, 100); len(got) != 1 {
		t.Errorf("filtered: %v", got)
	}
	if got := l.pages(subID+"/resourceGroups?$top=2", 2); len(got) != 3 {
		t.Errorf("groups %v", got)
	}
	for _, bad := range []string{"$top=0", "$top=x", "$skiptoken=!", "$skiptoken=YWJj", "$filter=x", "$filter=" + url.QueryEscape("colour eq 'red'")} {
		if a := l.as("admin", "GET", subID+"/resources?"+bad, ""); a.status != 400 {
			t.Errorf("%s: %d, want 400", bad, a.status)
		}
	}
}

// pages follows nextLink and collects lower-case ids; each once.
func (l *lab) pages(path string, top int) map[string]bool {
	l.t.Helper()
	ids := map[string]bool{}
	for path != "" {
		a := l.must(200, "GET", path, "")
		if len(a.values()) > top {
			l.t.Errorf("a page of %d, want at most %d", len(a.values()), top)
		}
		for _, v := range a.values() {
			id := strings.ToLower(v.(map[string]any)["id"].(string))
			if ids[id] {
				l.t.Errorf("%s is on two pages", id)
			}
			ids[id] = true
		}
		path, _ = a.body["nextLink"].(string)
	}
	return ids
}

func TestListsShowOnlyWhatTheCallerMayRead(t *testing.T) {
	l := newLab(t).withGroup()
	other := subID + "/resourceGroups/other"
	l.must(201, "PUT", other, east)
	l.must(201, "PUT", identities+"/mine", east)
	l.must(201, "PUT", strings.Replace(identities, "/lab/", "/other/", 1)+"/theirs", east)
	l.grant(labGroup, readerRole, reader)

	for path, want := range map[string]int{
		subID + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities": 1,
		subID + "/resources":      1,
		subID + "/resourceGroups": 1,
		"/subscriptions":          1,
		identities:                1,
	} {
		if a := l.as("reader", "GET", path, ""); a.status != 200 || len(a.values()) != want {
			t.Errorf("reader, %s: %d %v, want %d items", path, a.status, a.values(), want)
		}
	}
	if a := l.as("reader", "GET", other+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities", ""); a.status != 403 {
		t.Errorf("a list in another group: %d, want 403", a.status)
	}
	for path, want := range map[string]int{
		subID + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities": 403,
		subID + "/resources": 200, "/subscriptions": 200, subID: 403,
	} {
		if a := l.as("nobody", "GET", path, ""); a.status != want || len(a.values()) != 0 {
			t.Errorf("nobody, %s: %d %v, want %d", path, a.status, a.body, want)
		}
	}
}
