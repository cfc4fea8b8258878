package arm_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/lanyard-io/lanyard/internal/arm"
)

// atOnce sends requests at the same time, and counts their statuses.
func (l *lab) atOnce(n int, request func(i int) (method, path, body string, header []string)) map[int]int {
	l.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	statuses := map[int]int{}
	for i := range n {
		wg.Go(func() {
			method, path, body, header := request(i)
			a, err := l.try("admin", method, path, body, header...)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				l.t.Error(err)
				return
			}
			statuses[a.status]++
		})
	}
	wg.Wait()
	return statuses
}

// TestNobodyLosesAtTheParent: writes that come without a condition all succeed,
// whatever else of the same parent, or the same resource, is written at once.
func TestNobodyLosesAtTheParent(t *testing.T) {
	const writers = 30
	l := newLab(t, func(c *arm.Config) { c.MaxCredentials = 0 }).withGroup()
	l.must(201, "PUT", identities+"/web", east)
	vault := vaults + "/kv-races"
	l.must(200, "PUT", vault, vaultWith(`"enableRbacAuthorization":false,"accessPolicies":[]`))
	tags := identities + "/web/providers/Microsoft.Resources/tags/default"
	object := func(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }
	tests := []struct {
		name   string
		status int
		send   func(i int) (method, path, body string, header []string)
	}{
		{"credentials", 201, func(i int) (string, string, string, []string) {
			return "PUT", fmt.Sprintf("%s/web/federatedIdentityCredentials/cred-%d", identities, i), credential("https://a.example", fmt.Sprint("s", i)), nil
		}},
		{"identities", 201, func(i int) (string, string, string, []string) {
			return "PUT", fmt.Sprintf("%s/id-%d", identities, i), east, nil
		}},
		{"policies", 200, func(i int) (string, string, string, []string) {
			return "PUT", vault + "/accessPolicies/add", fmt.Sprintf(`{"properties":{"accessPolicies":[{"tenantId":%q,"objectId":%q,"permissions":{"secrets":["get"]}}]}}`, tenant, object(i)), nil
		}},
		{"tags", 200, func(i int) (string, string, string, []string) {
			return "PATCH", tags, fmt.Sprintf(`{"operation":"Merge","properties":{"tags":{"t%d":"1"}}}`, i), nil
		}},
		{"one-resource", 200, func(i int) (string, string, string, []string) {
			return "PATCH", identities + "/web", fmt.Sprintf(`{"tags":{"n":"%d"}}`, i), nil
		}},
	}
	for _, tt := range tests {
		if got := l.atOnce(writers, tt.send); got[tt.status] != writers {
			t.Errorf("%s: statuses %v, want %d times %d", tt.name, got, writers, tt.status)
		}
	}
	if n := len(l.must(200, "GET", identities+"/web/federatedIdentityCredentials", "").values()); n != writers {
		t.Errorf("%d credentials, want %d", n, writers)
	}
	policies := l.must(200, "GET", vault, "").body["properties"].(map[string]any)["accessPolicies"].([]any)
	if len(policies) != writers {
		t.Errorf("%d policies, want %d", len(policies), writers)
	}
}

// TestConditionsStillFail: who sends a condition is told when it does not hold, even
// if it held when the request came.
func TestConditionsStillFail(t *testing.T) {
	const writers = 20
	l := newLab(t).withGroup()
	made := l.must(201, "PUT", identities+"/web", east)
	tag := made.header.Get("ETag")
	got := l.atOnce(writers, func(i int) (string, string, string, []string) {
		return "PATCH", identities + "/web", fmt.Sprintf(`{"tags":{"n":"%d"}}`, i), []string{"If-Match: " + tag}
	})
	if got[200] != 1 || got[412] != writers-1 {
		t.Errorf("If-Match: statuses %v, want one 200 and the rest 412", got)
	}
	got = l.atOnce(writers, func(int) (string, string, string, []string) {
		return "PUT", identities + "/new", east, []string{"If-None-Match: *"}
	})
	if got[201] != 1 || got[412] != writers-1 {
		t.Errorf("If-None-Match: statuses %v, want one 201 and the rest 412", got)
	}
	// A condition on the credential itself says nothing of the identity, which
	// other credentials write.
	got = l.atOnce(writers, func(i int) (string, string, string, []string) {
		return "PUT", fmt.Sprintf("%s/web/federatedIdentityCredentials/cred-%d", identities, i),
			credential("https://a.example", fmt.Sprint("s", i)), []string{"If-None-Match: *"}
	})
	if got[201] != writers {
		t.Errorf("credentials: statuses %v, want %d times 201", got, writers)
	}
}
