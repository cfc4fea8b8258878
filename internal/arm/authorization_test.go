package arm_test

import (
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/lanyard-io/lanyard/internal/model"
)

const (
	delegateRole   = "8b54135c-b56d-4d72-a534-26097cfdc8d8" // may assign the roles inside vaults, no others
	secretsUser    = "4633458b-17de-408a-b874-0445c86b69e6"
	assignments    = labGroup + "/providers/Microsoft.Authorization/roleAssignments"
	roleDefinition = "/providers/Microsoft.Authorization/roleDefinitions/"
)

func assign(role, principal string) string {
	return `{"properties":{"roleDefinitionId":"` + roleDefinition + role + `","principalId":"` + principal + `"}}`
}

func TestNobodyGrantsMoreThanTheyMay(t *testing.T) {
	l := newLab(t).withGroup()
	l.principal(nobody)
	l.grant(labGroup, delegateRole, reader)
	owner, user := assignments+"/"+model.NewUUID(), assignments+"/"+model.NewUUID()
	if a := l.as("reader", "PUT", owner, assign(ownerRole, reader)); a.status != 403 {
		t.Errorf("a delegate made itself owner: %d", a.status)
	}
	if a := l.as("reader", "PUT", user, assign(secretsUser, nobody)); a.status != 201 {
		t.Errorf("a delegate's own role: %d %v", a.status, a.body)
	}
	l.must(201, "PUT", owner, assign(ownerRole, nobody))
	if a := l.as("reader", "DELETE", owner, ""); a.status != 403 {
		t.Errorf("a delegate deleted an owner: %d", a.status)
	}
	if a := l.as("reader", "DELETE", user, ""); a.status != 200 {
		t.Errorf("a delegate's own assignment: %d", a.status)
	}
	for _, body := range []string{"{", `{"properties":{}}`, assign(model.NewUUID(), nobody)} {
		if a := l.as("reader", "PUT", user, body); a.status != 403 {
			t.Errorf("a delegate with body %s: %d, want 403", body, a.status)
		}
	}
}

func TestAssignmentWorksAtOnceAndEnds(t *testing.T) {
	l := newLab(t).withGroup()
	l.principal(nobody)
	l.must(201, "PUT", identities+"/web", east)
	id := identities + "/web/providers/Microsoft.Authorization/roleAssignments/" + model.NewUUID()
	l.must(201, "PUT", id, assign(readerRole, nobody))
	if a := l.as("nobody", "GET", identities+"/web", ""); a.status != 200 {
		t.Errorf("with a role on it: %d", a.status)
	}
	if a := l.as("nobody", "GET", labGroup, ""); a.status != 403 {
		t.Errorf("what is above: %d", a.status)
	}
	l.must(200, "DELETE", id, "")
	if a := l.as("nobody", "GET", identities+"/web", ""); a.status != 403 {
		t.Errorf("after it ended: %d", a.status)
	}

	// An assignment goes with what it is on: its successor starts without.
	l.must(201, "PUT", id, assign(readerRole, nobody))
	l.must(200, "DELETE", identities+"/web", "")
	l.must(201, "PUT", identities+"/web", east)
	if a := l.as("nobody", "GET", identities+"/web", ""); a.status != 403 {
		t.Errorf("on a successor: %d", a.status)
	}
}

func TestListsOfAssignments(t *testing.T) {
	l := newLab(t).withGroup()
	l.must(201, "PUT", identities+"/web", east)
	l.principal(nobody)
	for _, scope := range []string{"", subID, labGroup, identities + "/web"} {
		l.must(201, "PUT", scope+"/providers/Microsoft.Authorization/roleAssignments/"+model.NewUUID(), assign(secretsUser, nobody))
	}
	mine := url.QueryEscape("principalId eq '" + nobody + "'")
	for _, tt := range []struct {
		scope, filter string
		want          int
	}{
		{labGroup, "", 5}, {labGroup, "atScope()", 4}, {labGroup, mine, 4}, {labGroup, url.QueryEscape("atScope() and assignedTo('" + nobody + "')"), 3},
		{"", "atScope()", 2}, {"", "", 5}, {subID, "atScope()", 3}, {identities + "/web", "atScope()", 5},
	} {
		for _, top := range []int{2, 100} {
			path := fmt.Sprintf("%s/providers/Microsoft.Authorization/roleAssignments?$top=%d", tt.scope, top)
			if tt.filter != "" {
				path += "&$filter=" + tt.filter
			}
			if got := l.pages(path, top); len(got) != tt.want {
				t.Errorf("%s: %d assignments, want %d: %v", path, len(got), tt.want, got)
			}
		}
	}
}

func TestSameAssignmentCannotWinTwice(t *testing.T) {
	l := newLab(t).withGroup()
	l.principal(nobody)
	for range 5 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := l.try("admin", "PUT", assignments+"/"+model.NewUUID(), assign(secretsUser, nobody)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := l.must(200, "GET", assignments+"?$filter="+url.QueryEscape("principalId eq '"+nobody+"'"), "").values()
		if len(got) != 1 {
			t.Fatalf("%d assignments of one role at one scope, want 1", len(got))
		}
		l.must(200, "DELETE", got[0].(map[string]any)["id"].(string), "")
	}
}

func TestDecisionsCanBeLookedUp(t *testing.T) {
	l := newLab(t).withGroup()
	refused := l.as("nobody", "GET", labGroup, "")
	found := l.must(200, "GET", "/providers/Lanyard.Trust/decisions/"+refused.header.Get("x-ms-request-id")+"?api-version=2026-11-01", "").values()
	if len(found) != 1 || found[0].(map[string]any)["granted"] != false {
		t.Errorf("decisions %v", found)
	}
}
