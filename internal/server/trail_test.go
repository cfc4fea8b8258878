package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/audit"
)

// trail is what the server has recorded so far.
func (r *running) trail() (all []audit.Record, text string) {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.c.DataDir, "audit", "*.jsonl"))
	if err != nil || len(files) == 0 {
		r.t.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			r.t.Fatal(err)
		}
		text += string(b)
		in := bufio.NewScanner(bytes.NewReader(b))
		for in.Scan() {
			var one audit.Record
			if err := json.Unmarshal(in.Bytes(), &one); err != nil {
				r.t.Fatal(err)
			}
			all = append(all, one)
		}
	}
	return all, text
}

// send makes a request with the admin's token for a resource, and gives the ids'
// header, the status and the body.
func (r *running) send(method, u, resource string, body any, header ...string) (id string, status int, answer map[string]any) {
	r.t.Helper()
	token, err := r.client.Token(r.t.Context(), resource)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := json.Marshal(body)
	if err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, u, bytes.NewReader(b))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.http().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err = io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = json.Unmarshal(b, &answer)
	return res.Header.Get("X-Ms-Request-Id") + res.Header.Get("Request-Id"), res.StatusCode, answer
}

type object = map[string]any

// Each write is recorded before it is begun, and with what it changed and how it
// ended before it is answered; nothing secret is in it.
func TestWritesSayWhatTheyDid(t *testing.T) {
	r := start(t, local(t.TempDir()))
	own := r.Names().Own()
	r.vault("kv-trail")
	group, admin := r.group(), r.admin.PrincipalID
	vault, id := group+"/providers/Microsoft.KeyVault/vaults/kv-trail", group+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shop"
	const hidden = "hunter2-is-not-recorded"
	arm := func(method, path, version string, body any, header ...string) func() (string, int, object) {
		return func() (string, int, object) {
			return r.send(method, own.ManagementURL()+path+"?api-version="+version, own.ManagementURL(), body, header...)
		}
	}
	graph := func(method, path string, body any) func() (string, int, object) {
		return func() (string, int, object) {
			return r.send(method, own.GraphURL()+"/v1.0"+path, own.GraphURL(), body)
		}
	}
	secret := func(method, path string, body any) func() (string, int, object) {
		return func() (string, int, object) {
			return r.send(method, own.VaultURL("kv-trail")+path+"?api-version=7.4", own.VaultResource(), body)
		}
	}
	_, _, app := graph("POST", "/applications", object{"displayName": "deployer"})()
	_, _, user := graph("POST", "/users", object{
		"accountEnabled": true, "displayName": "Ann", "mailNickname": "ann", "userPrincipalName": "ann@lanyard.localhost",
		"passwordProfile": object{"password": hidden + "-A1", "forceChangePasswordNextSignIn": false},
	})()
	const owner, assignment = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "/providers/Microsoft.Authorization/roleAssignments/0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10"

	for _, tt := range []struct {
		name   string
		do     func() (string, int, object)
		status int
		kind   string
		want   []string // "before.field=value", "after.field=value"; a value is looked for in the field
	}{
		{"identity", arm("PUT", id, "2023-01-31", object{"location": "local"}), 201, "Identity", []string{"after.principal="}},
		{"credential", arm("PUT", id+"/federatedIdentityCredentials/pod", "2023-01-31", object{"properties": object{
			"issuer": "https://issuer.example", "subject": "system:serviceaccount:a:b", "audiences": []string{audience},
		}}), 201, "FederatedCredential", []string{"after.issuer=https://issuer.example", "after.subject=system:serviceaccount:a:b", "after.audience=" + audience}},
		{"credential-again", arm("PUT", id+"/federatedIdentityCredentials/pod", "2023-01-31", object{"properties": object{
			"issuer": "https://issuer.example", "subject": "system:serviceaccount:a:c", "audiences": []string{audience},
		}}), 200, "FederatedCredential", []string{"before.subject=system:serviceaccount:a:b", "after.subject=system:serviceaccount:a:c"}},
		{"role", arm("PUT", group+assignment, "2022-04-01", object{"properties": object{
			"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + owner, "principalId": admin, "principalType": "ServicePrincipal",
		}}), 201, "RoleAssignment", []string{"after.role=" + owner, "after.principal=" + admin, "after.scope=" + group}},
		{"role-deleted", arm("DELETE", group+assignment, "2022-04-01", nil), 200, "RoleAssignment", []string{"before.role=" + owner, "before.principal=" + admin}},
		{"policy", arm("PUT", vault+"/accessPolicies/add", "2023-07-01", object{"properties": object{"accessPolicies": []object{{
			"tenantId": r.admin.TenantID, "objectId": "5b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10", "permissions": object{"secrets": []string{"get", "list"}},
		}}}}), 200, "Vault", []string{"after.policy 5b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10=get list", "before.permissions=policies"}},
		{"vault", arm("PATCH", vault, "2023-07-01", object{"properties": object{
			"enableRbacAuthorization": true, "enablePurgeProtection": true, "networkAcls": object{"defaultAction": "Deny", "ipRules": []object{{"value": "127.0.0.0/8"}}},
		}}), 200, "Vault", []string{"before.permissions=policies", "after.permissions=roles", "before.purgeProtection=false", "after.purgeProtection=true", "after.firewall=only 127.0.0.0/8"}},
		{"app-secret", graph("POST", "/applications/"+fmt.Sprint(app["id"])+"/addPassword", object{"passwordCredential": object{"displayName": "x"}}), 200, "Application", []string{"after.secrets=until"}},
		{"user", graph("PATCH", "/users/"+fmt.Sprint(user["id"]), object{"accountEnabled": false}), 204, "User", []string{"before.enabled=true", "after.enabled=false", "after.name=ann@lanyard.localhost"}},
		{"issuer", arm("PUT", "/providers/Lanyard.Trust/issuers/x", "2026-11-01", object{"properties": object{"url": "https://i.example"}}), 400, "", nil},
		{"set-by-role", secret("PUT", "/secrets/s1", object{"value": hidden}), 403, "", nil},
		{"keys", arm("POST", "/providers/Lanyard.Trust/signingKeys/rotate", "2026-11-01", nil), 200, "SigningKeys", nil},
		{"condition", arm("PUT", id, "2023-01-31", object{"location": "local"}, "If-Match", `"1"`), 412, "", nil},
		{"malformed", arm("PUT", id, "2023-01-31", "nonsense"), 400, "", nil},
	} {
		request, status, answer := tt.do()
		if status != tt.status {
			t.Errorf("%s: got %d %v, want %d", tt.name, status, answer, tt.status)
			continue
		}
		all, _ := r.trail()
		checkActs(t, tt.name, request, status, all, tt.kind, tt.want)
	}

	r.arm("PATCH", vault, "2023-07-01", object{"properties": object{"enableRbacAuthorization": false}}, nil)
	request, status, _ := secret("PUT", "/secrets/s1", object{"value": hidden, "attributes": object{"exp": 2000000000}})()
	all, text := r.trail()
	checkActs(t, "secret", request, status, all, "SecretVersion", []string{"after.enabled=true", "after.expires=2033-05-18T03:33:20Z", "after.version="})
	if strings.Contains(text, hidden) || strings.Contains(text, "argon2") {
		t.Error("a value is in the record")
	}
	before := len(all)
	if _, status, _ := secret("GET", "/secrets/s1", nil)(); status != 200 {
		t.Errorf("reading gets %d", status)
	}
	if all, _ := r.trail(); len(all) != before+1 {
		t.Errorf("a read has %d records, want 1", len(all)-before)
	}
}

// checkActs wants, of a request, a record before and one after, if it was let begin.
func checkActs(t *testing.T, name, request string, status int, all []audit.Record, kind string, want []string) {
	t.Helper()
	mine := slices.DeleteFunc(all, func(r audit.Record) bool { return r.ID != request })
	if status == 403 {
		if len(mine) != 1 || mine[0].Granted || mine[0].Outcome != nil {
			t.Errorf("%s: records %+v", name, mine)
		}
		return
	}
	pending := slices.IndexFunc(mine, func(r audit.Record) bool { return r.Outcome == nil || r.Outcome.Code != audit.Pending })
	if pending < 1 || len(mine) != 2*pending || slices.ContainsFunc(mine[pending:], func(r audit.Record) bool { return r.Outcome.Status != status }) {
		t.Errorf("%s: records %+v, want one before and one that says %d, for each thing that it was let do", name, mine, status)
		return
	}
	last := mine[len(mine)-1]
	if status >= 400 {
		if len(last.Changes) != 0 || last.Outcome.Code == "" {
			t.Errorf("%s: %+v, want a code and no change", name, last)
		}
		return
	}
	i := slices.IndexFunc(last.Changes, func(c audit.Change) bool { return c.Kind == kind })
	if i < 0 {
		t.Errorf("%s: changes %+v, want one of a %s", name, last.Changes, kind)
		return
	}
	fields := map[string]string{}
	for side, all := range map[string]map[string]string{"before.": last.Changes[i].Before, "after.": last.Changes[i].After} {
		for k, v := range maps.All(all) {
			fields[side+k] = v
		}
	}
	for _, w := range want {
		field, value, _ := strings.Cut(w, "=")
		if got, ok := fields[field]; !ok || !strings.Contains(got, value) || got == "" {
			t.Errorf("%s: %s is %q, want %q in %v", name, field, got, value, fields)
		}
	}
}

// Tokens that are not ours leave a record on every surface; a request without one,
// which is how SDKs begin, leaves none.
func TestForgedTokensAreRecorded(t *testing.T) {
	r := start(t, local(t.TempDir()))
	own := r.Names().Own()
	r.vault("kv-forged")
	before, _ := r.trail()
	for _, u := range []string{
		own.VaultURL("kv-forged") + "/secrets/x?api-version=7.4", own.ManagementURL() + "/subscriptions?api-version=2022-12-01", own.GraphURL() + "/v1.0/users",
	} {
		if status, _, _ := r.fetch(u, ""); status != 401 {
			t.Errorf("%s without a token: %d", u, status)
		}
		status, header, _ := r.fetch(u, "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.AAAA")
		after, _ := r.trail()
		last := after[len(after)-1]
		if status != 401 || len(after) != len(before)+1 || last.Action != "token.use" || last.Granted || last.Code == "" ||
			last.ID != header.Get("X-Ms-Request-Id")+header.Get("Request-Id") || !strings.HasPrefix(u, "https://"+last.Resource) {
			t.Errorf("%s with a forged one: %d, %+v", u, status, last)
		}
		before = after
	}
	// Ours, but for another surface: it is known whose it is.
	token, err := r.client.ManagementToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	status, _, _ := r.fetch(own.VaultURL("kv-forged")+"/secrets/x?api-version=7.4", token)
	after, _ := r.trail()
	if last := after[len(after)-1]; status != 401 || last.Code != "token_audience" || last.Caller == nil || last.Caller.ObjectID != r.admin.PrincipalID {
		t.Errorf("a token for another surface: %d, %+v", status, last)
	}
}
