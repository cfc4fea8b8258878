package vault_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/vault"
)

// Each row says what the gate is to be asked, in words that access knows, and is in
// the documents.
func TestTable(t *testing.T) {
	coverage, err := os.ReadFile("../../docs/API-COVERAGE.md")
	must(t, err)
	seen := map[string]bool{}
	for _, row := range vault.Rows() {
		if seen[row.Op] {
			t.Errorf("%s is in the table twice", row.Op)
		}
		seen[row.Op] = true
		if !granted(row.Action) {
			t.Errorf("%s: no role for one kind of item grants the action %q", row.Op, row.Action)
		}
		if row.Permission == "" {
			t.Errorf("%s needs no permission of an access policy", row.Op)
		}
		if !strings.Contains(string(coverage), "\n| `"+row.Op+"` |") {
			t.Errorf("docs/API-COVERAGE.md has no row for %s", row.Op)
		}
	}
}

// granted says whether a built-in role grants a data action without granting all.
func granted(action string) bool {
	for _, role := range access.Roles() {
		for _, pattern := range role.DataActions {
			prefix, any := strings.CutSuffix(pattern, "/*")
			if pattern == action || any && prefix != "Microsoft.KeyVault/vaults" && strings.HasPrefix(action, prefix+"/") {
				return true
			}
		}
	}
	return false
}

// Nothing of an operation happens for a caller who may not: the gate is asked first,
// and has a record of it under the row's action.
func TestGateIsInFrontOfEveryOperation(t *testing.T) {
	e := newEnv(t)
	began := map[string]int{}
	vault.Watch(e.server, func(op string) { began[op]++ })
	e.serve(t)
	id := e.set(t, kv1, "one", "v")
	blob := e.do(t, "POST", kv1+"/secrets/one/backup?"+api, "").Value
	bodies := map[string]string{
		"secret.set": `{"value":"v"}`, "secret.update": `{"tags":{}}`, "secret.restore": fmt.Sprintf(`{"value":%q}`, blob),
	}
	clear(began)
	for _, row := range vault.Rows() {
		for _, pattern := range row.Patterns {
			path := strings.NewReplacer("{name}", "one", "{version}", id, "{$}", "").Replace(pattern) + "?" + api
			for _, host := range []string{kv1, rbac} {
				e.refused(t, row, host+path, bodies[row.Op])
			}
			if began[row.Op] > 0 {
				t.Errorf("%s %s began for a caller who may not", row.Method, pattern)
				began[row.Op] = 0
			}
			before := e.revision(t)
			e.do(t, row.Method, kv1+path, bodies[row.Op])
			if row.Reads && e.revision(t) != before {
				t.Errorf("%s is said to change nothing, and did", row.Op)
			}
			if began[row.Op] != 1 {
				t.Errorf("%s %s of a caller who may began %s %d times", row.Method, pattern, row.Op, began[row.Op])
			}
			began[row.Op] = 0
		}
	}
}

func (e *env) revision(t *testing.T) int64 {
	t.Helper()
	view, err := e.Store.Fresh(t.Context())
	must(t, err)
	return view.Rev()
}

// refused sends a row's request as nobody.
func (e *env) refused(t *testing.T, row vault.Row, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), row.Method, url, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Authorization", "Bearer nobody")
	resp, err := e.client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	records, err := e.Gate.Find(t.Context(), resp.Header.Get("X-Ms-Request-Id"))
	must(t, err)
	if resp.StatusCode != http.StatusForbidden || len(records) != 1 || records[0].Granted || records[0].Action != row.Action {
		t.Errorf("%s %s = %d, with the records %+v; want 403 and the refusal of %s", row.Method, url, resp.StatusCode, records, row.Action)
	}
}
