package arm_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/lanyard-io/lanyard/internal/model"
)

func TestDeletingAGroupTakesAllItHolds(t *testing.T) {
	l := newLab(t).withGroup()
	l.must(201, "PUT", labGroup+"2", east)
	l.must(201, "PUT", strings.Replace(identities, "/lab/", "/lab2/", 1)+"/keep", east)
	var principals []string
	for i := range 60 {
		id := fmt.Sprintf("%s/id-%d", identities, i)
		principals = append(principals, l.must(201, "PUT", id, east).properties()["principalId"].(string))
		l.must(201, "PUT", id+"/federatedIdentityCredentials/one", credential("https://a.example", "s"))
		l.grantID(subID, readerRole, principals[i])
	}
	l.must(200, "PUT", vaults+"/kv-held", plainVault)
	l.secret("kv-held")

	gone := l.must(202, "DELETE", labGroup, "")
	if gone.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", gone.header.Get("Retry-After"))
	}
	l.must(200, "GET", gone.header.Get("Location"), "")
	l.must(404, "HEAD", labGroup, "")
	l.must(404, "DELETE", labGroup, "")
	v := l.view()
	for e := range v.Prefix(strings.ToLower(labGroup)+"/", "") {
		t.Errorf("left over: %s", e.Key)
	}
	for _, p := range principals {
		if v.First(model.RoleIndex(p)) != nil {
			t.Errorf("principal %s still has a role", p)
		}
	}
	l.must(200, "GET", deleted+"/kv-held", "")
	l.must(200, "GET", strings.Replace(identities, "/lab/", "/lab2/", 1)+"/keep", "")
	l.must(201, "PUT", labGroup, east)
	if got := l.must(200, "GET", labGroup+"/resources", "").values(); len(got) != 0 {
		t.Errorf("the new group holds %v", got)
	}
}

func TestNothingOutlivesItsGroupInARace(t *testing.T) {
	l := newLab(t)
	for round := range 6 {
		group := fmt.Sprintf("%s/resourceGroups/race-%d", subID, round)
		l.must(201, "PUT", group, east)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 5 {
					path := fmt.Sprintf("%s/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-%d-%d", group, i, n)
					if i == 0 {
						path = fmt.Sprintf("%s/providers/Microsoft.KeyVault/vaults/race-%d-%d", group, round, n)
					}
					if _, err := l.try("admin", "PUT", path, plainVault); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			if a, err := l.try("admin", "DELETE", group, ""); err != nil || a.status != 202 {
				t.Errorf("DELETE: %v %v", a, err)
			}
		})
		wg.Wait()
		v := l.view()
		for e := range v.Prefix(strings.ToLower(group)+"/", "") {
			t.Errorf("outlived its group: %s", e.Key)
		}
		for n := range 5 { // a name is free, or its vault can be recovered
			name := fmt.Sprintf("race-%d-%d", round, n)
			if (v.Get(model.VaultNameKey(name)) != nil) != (v.Get(model.DeletedVaultKey(name)) != nil) {
				t.Errorf("the name %s is reserved for nothing", name)
			}
		}
	}
}

func TestRegistrationsAreRemembered(t *testing.T) {
	l := newLab(t)
	feature := subID + "/providers/Microsoft.Features/providers/Microsoft.ContainerService/features/EnableWorkloadIdentityPreview"
	state := func(a *answer) string { s, _ := a.properties()["state"].(string); return s }
	for _, step := range [][3]string{
		{"GET", feature, "NotRegistered"}, {"POST", feature + "/register", "Registering"}, {"GET", strings.ToLower(feature), "Registered"},
		{"POST", feature + "/register", "Registered"}, {"POST", feature + "/unregister", "Unregistering"}, {"GET", feature, "Unregistered"},
		{"POST", feature + "/unregister", "Unregistered"},
	} {
		if got := state(l.must(200, step[0], step[1], "")); got != step[2] {
			t.Errorf("%s %s: %q, want %q", step[0], step[1], got, step[2])
		}
	}
	provider := subID + "/providers/Microsoft.ContainerService"
	for _, step := range [][3]string{
		{"GET", provider, "NotRegistered"}, {"POST", provider + "/register", "Registered"}, {"GET", provider, "Registered"},
		{"GET", subID + "/providers/Microsoft.KeyVault", "Registered"}, {"POST", subID + "/providers/Some.Thing/register", "Registered"},
		{"POST", provider + "/unregister", "Unregistered"}, {"GET", provider, "Unregistered"}, {"POST", provider + "/register", "Registered"},
	} {
		if got := l.must(200, step[0], step[1], "").body["registrationState"]; got != step[2] {
			t.Errorf("%s %s: %q, want %q", step[0], step[1], got, step[2])
		}
	}
	if got := l.must(200, "GET", subID+"/providers", "").values(); len(got) != 7 {
		t.Errorf("%d providers, want 7", len(got))
	}
	if got := l.must(200, "GET", subID+"/providers/Microsoft.Features/features", "").values(); len(got) != 1 {
		t.Errorf("features %v", got)
	}
	if a := l.as("nobody", "POST", provider+"/register", ""); a.status != 403 {
		t.Errorf("nobody registers: %d", a.status)
	}
}

func TestFeaturesOfOneNamespace(t *testing.T) {
	l := newLab(t)
	features := subID + "/providers/Microsoft.Features/providers/"
	for _, name := range []string{"Microsoft.ContainerService/features/One", "Microsoft.ContainerService/features/Two", "Microsoft.KeyVault/features/One"} {
		l.must(200, "POST", features+name+"/register", "")
	}
	for path, want := range map[string]int{
		features + "microsoft.containerservice/features": 2,
		features + "Microsoft.KeyVault/features":         1,
		features + "Microsoft.Authorization/features":    0,
		subID + "/providers/Microsoft.Features/features": 3,
	} {
		if got := l.must(200, "GET", path, "").values(); len(got) != want {
			t.Errorf("%s: %v, want %d", path, got, want)
		}
	}
	l.principal(nobody)
	if a := l.as("nobody", "GET", features+"Microsoft.KeyVault/features", ""); a.status != 403 {
		t.Errorf("nobody lists features: %d, want 403", a.status)
	}
}

func TestLocations(t *testing.T) {
	l := newLab(t)
	names := map[any]bool{}
	for _, v := range l.must(200, "GET", subID+"/locations", "").values() {
		one := v.(map[string]any)
		if one["displayName"] == "" || one["id"] != subID+"/locations/"+fmt.Sprint(one["name"]) {
			t.Errorf("location %v", one)
		}
		names[one["name"]] = true
	}
	if len(names) < 30 || !names["eastus"] || !names["westeurope"] {
		t.Errorf("locations %v", names)
	}
	if a := l.as("", "GET", subID+"/locations", ""); a.status != 401 {
		t.Errorf("without a token: %d, want 401", a.status)
	}
}

// azapi and others choose an api-version from these lists.
func TestProvidersListTheirTypes(t *testing.T) {
	l := newLab(t)
	for scope, state := range map[string]any{subID: "Registered", "": nil} {
		got := l.must(200, "GET", scope+"/providers/microsoft.keyvault", "").body
		if got["id"] != scope+"/providers/Microsoft.KeyVault" || got["registrationState"] != state {
			t.Errorf("provider %v %v, want state %v", got["id"], got["registrationState"], state)
		}
		listed := false
		for _, v := range got["resourceTypes"].([]any) {
			typ := v.(map[string]any)
			listed = listed || typ["resourceType"] == "vaults" && len(typ["apiVersions"].([]any)) > 3 && len(typ["locations"].([]any)) > 30
		}
		if !listed {
			t.Errorf("%s: vaults are not among the types %v", scope, got["resourceTypes"])
		}
		if got := l.must(200, "GET", scope+"/providers", "").values(); len(got) != 6 {
			t.Errorf("%s: %d providers, want 6", scope, len(got))
		}
	}
}
