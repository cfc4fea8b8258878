package server_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/manage/asadmin"
	"github.com/lanyard-io/lanyard/internal/model"
)

// Who calls in TestHostileRequests, and what it may do: the role, and where. GROUP,
// VAULT (kv-roles) and / are places.
var callers = map[string][][2]string{
	"stranger":          nil,
	"contributor":       {{"Contributor", "GROUP"}},
	"vault contributor": {{"Key Vault Contributor", "VAULT"}},
	"delegate":          {{"Key Vault Contributor", "VAULT"}, {"Key Vault Data Access Administrator", "VAULT"}},
	"reader":            {{"Reader", "GROUP"}},
	"root contributor":  {{"Contributor", "/"}},
}

// hostileRows is what people with few rights may try. A row is a request through the
// front door and its answer; add one for each new idea. In url and body, ME, TENANT
// and GROUP are replaced; a url begins with its host: arm, graph, or a vault. The
// code is the innermost.
var hostileRows = []struct {
	name, who, method, url, body string
	status                       int
	code                         string
}{
	// What decides who decides.
	{"roles off", "contributor", "PATCH", "arm:VAULTS/kv-roles?api-version=2023-07-01", `{"properties":{"enableRbacAuthorization":false,"accessPolicies":[POLICY]}}`, 403, "InsufficientPermissions"},
	{"roles off at the vault", "vault contributor", "PATCH", "arm:VAULTS/kv-roles?api-version=2023-07-01", `{"properties":{"enableRbacAuthorization":false}}`, 403, "InsufficientPermissions"},
	{"roles off by put", "contributor", "PUT", "arm:VAULTS/kv-roles?api-version=2023-07-01", `{"location":"local","properties":{"tenantId":"TENANT","sku":{"name":"standard"},"enableRbacAuthorization":false}}`, 403, "InsufficientPermissions"},
	{"roles off with a narrow right", "delegate", "PATCH", "arm:VAULTS/kv-roles?api-version=2023-07-01", `{"properties":{"enableRbacAuthorization":false}}`, 403, "InsufficientPermissions"},
	{"roles off in another case", "contributor", "PATCH", "arm:VAULTS/kv-roles?api-version=2023-07-01", `{"properties":{"enablerbacauthorization":false}}`, 403, "InsufficientPermissions"},
	{"roles on", "contributor", "PATCH", "arm:VAULTS/kv-policies?api-version=2023-07-01", `{"properties":{"enableRbacAuthorization":true}}`, 403, "InsufficientPermissions"},
	{"a policy on a vault with roles", "contributor", "PUT", "arm:VAULTS/kv-roles/accessPolicies/add?api-version=2023-07-01", `{"properties":{"accessPolicies":[POLICY]}}`, 200, ""},
	{"which decides nothing", "contributor", "GET", "kv-roles:/secrets/s1?api-version=7.4", "", 403, "ForbiddenByRbac"},
	{"an assignment", "contributor", "PUT", "arm:GROUP/providers/Microsoft.Authorization/roleAssignments/11111111-1111-4111-8111-111111111111?api-version=2022-04-01", "{}", 403, "AuthorizationFailed"},
	{"an assignment of another role", "delegate", "PUT", "arm:VAULTS/kv-roles/providers/Microsoft.Authorization/roleAssignments/11111111-1111-4111-8111-111111111111?api-version=2022-04-01",
		`{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635","principalId":"ME"}}`, 403, "AuthorizationFailed"},
	{"an issuer's keys", "contributor", "PUT", "arm:/providers/Lanyard.Trust/issuers/x?api-version=2026-11-01", "{}", 403, "AuthorizationFailed"},
	{"our own issuer's keys", "root contributor", "PUT", "arm:/providers/Lanyard.Trust/issuers/aHR0cHM6Ly9sb2dpbi5sYW55YXJkLmxvY2FsaG9zdC94?api-version=2026-11-01", `{"properties":{"url":"https://login.lanyard.localhost/x","keys":{"keys":[]},"roots":""}}`, 400, "BadRequest"},
	{"a cluster", "contributor", "PUT", "arm:GROUP/providers/Microsoft.ContainerService/managedClusters/c?api-version=2026-07-01", `{"location":"local","properties":{"attachment":{"kubeconfig":"e30="}}}`, 403, "AuthorizationFailed"},
	{"a cluster at a metadata service", "root contributor", "PUT", "arm:GROUP/providers/Microsoft.ContainerService/managedClusters/c?api-version=2026-07-01", `{"location":"local","properties":{"attachment":{"kubeconfig":"METADATA"}}}`, 400, "BadRequest"},
	{"an application", "root contributor", "POST", "graph:/v1.0/applications", `{"displayName":"x"}`, 403, "Authorization_RequestDenied"},
	{"a user", "root contributor", "POST", "graph:/v1.0/users", `{"displayName":"x"}`, 403, "Authorization_RequestDenied"},
	{"the owner's password", "root contributor", "POST", "graph:/v1.0/applications(appId='OWNER')/addPassword", `{}`, 403, "Authorization_RequestDenied"},

	// One request, one meaning.
	{"two values", "owner", "PUT", "kv-policies:/secrets/s2?api-version=7.4", `{"value":"a","Value":"b"}`, 400, "BadParameter"},
	{"two members by the long s", "owner", "POST", "graph:/v1.0/applications", `{"displayName":"x","diſplayName":"y"}`, 400, "Request_BadRequest"},
	{"two members deep down", "owner", "PATCH", "arm:VAULTS/kv-roles?api-version=2023-07-01", `{"properties":{"networkAcls":{"bypa` + "\u017f" + `s":"None","bypass":"AzureServices"}}}`, 400, "InvalidRequestContent"},
	{"two members in a list", "owner", "PUT", "arm:VAULTS/kv-policies/accessPolicies/add?api-version=2023-07-01", `{"properties":{"accessPolicies":[{"objectId":"ME","OBJECTID":"ME"}]}}`, 400, "InvalidRequestContent"},
	{"two tags", "owner", "PATCH", "arm:GROUP?api-version=2021-04-01", `{"tags":{"env":"a","Env":"b"}}`, 400, "InvalidRequestContent"},

	// What exists.
	{"a vault that is there", "stranger", "GET", "arm:VAULTS/kv-roles?api-version=2023-07-01", "", 403, "AuthorizationFailed"},
	{"a vault that is not", "stranger", "GET", "arm:VAULTS/kv-none?api-version=2023-07-01", "", 403, "AuthorizationFailed"},
	{"a group that is not", "stranger", "GET", "arm:GROUP-none?api-version=2021-04-01", "", 403, "AuthorizationFailed"},
	{"a secret that is there", "reader", "GET", "kv-roles:/secrets/s1?api-version=7.4", "", 403, "ForbiddenByRbac"},
	{"a secret that is not", "reader", "GET", "kv-roles:/secrets/none?api-version=7.4", "", 403, "ForbiddenByRbac"},
	{"the name of a vault is public", "stranger", "GET", "kv-none:/secrets/s1?api-version=7.4", "", 404, "VaultNotFound"},
	{"no backup", "reader", "POST", "kv-roles:/secrets/restore?api-version=7.4", `{"value":"AAAA"}`, 403, "ForbiddenByRbac"},
	{"not even JSON", "reader", "POST", "kv-roles:/secrets/restore?api-version=7.4", `{`, 403, "ForbiddenByRbac"},
	{"a user that is not", "stranger", "GET", "graph:/v1.0/users/nobody@lanyard.localhost", "", 403, "Authorization_RequestDenied"},
	{"an application that is not", "stranger", "GET", "graph:/v1.0/applications/11111111-1111-4111-8111-111111111111", "", 403, "Authorization_RequestDenied"},
	{"nobody at all", "", "GET", "kv-roles:/secrets/s1?api-version=7.4", "", 401, "Unauthorized"},
}

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	r := start(t, local(t.TempDir()))
	h := newHostile(t, r)
	for _, row := range hostileRows {
		t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
			status, code := h.ask(t, row.who, row.method, row.url, row.body)
			if status != row.status || code != row.code {
				t.Errorf("%s as %q: %d %s, want %d %s", row.method, row.who, status, code, row.status, row.code)
			}
		})
	}
}

// hostile is a server with two vaults and people with few rights.
type hostile struct {
	r   *running
	who map[string]*client.Client
	ids map[string]string // of their service principals
	to  *http.Client
}

func newHostile(t *testing.T, r *running) *hostile {
	h := &hostile{r: r, who: map[string]*client.Client{"owner": r.client}, ids: map[string]string{"owner": r.admin.PrincipalID}, to: r.http()}
	set(t, r.vault("kv-policies"), "s1", "hidden")
	vault := r.group() + "/providers/Microsoft.KeyVault/vaults/kv-roles"
	r.arm("PUT", vault, "2023-07-01", map[string]any{"location": "local", "properties": map[string]any{
		"tenantId": r.admin.TenantID, "sku": map[string]string{"name": "standard"}, "enableRbacAuthorization": true,
	}}, nil)
	places := map[string]string{"GROUP": r.group(), "VAULT": vault, "/": ""}
	for _, who := range slices.Sorted(maps.Keys(callers)) {
		var app struct{ ID, AppID string }
		var secret struct{ SecretText string }
		var principal struct{ ID string }
		h.graph("POST", "/applications", map[string]any{"displayName": who}, &app)
		h.graph("POST", "/applications/"+app.ID+"/addPassword", map[string]any{}, &secret)
		h.graph("POST", "/servicePrincipals", map[string]any{"appId": app.AppID}, &principal)
		for _, role := range callers[who] {
			definition, ok := access.RoleByName(role[0])
			if !ok {
				t.Fatalf("no role %q", role[0])
			}
			r.arm("PUT", places[role[1]]+"/providers/Microsoft.Authorization/roleAssignments/"+model.NewUUID(), "2022-04-01", map[string]any{"properties": map[string]any{
				"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + definition.ID, "principalId": principal.ID,
			}}, nil)
		}
		is := *r.admin
		is.ClientID, is.ClientSecret = app.AppID, secret.SecretText
		c, err := client.New(asadmin.Config(&is, r.Names().Own(), roots(t, r.c.DataDir), r.State().Listen))
		if err != nil {
			t.Fatal(err)
		}
		h.who[who], h.ids[who] = c, principal.ID
	}
	return h
}

func (h *hostile) graph(method, path string, body, answer any) {
	h.r.t.Helper()
	if _, err := h.r.client.Directory().Call(h.r.t.Context(), method, path, nil, body, answer); err != nil {
		h.r.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// metadata is a kubeconfig whose API server is a cloud's metadata service.
const metadata = `{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],` +
	`"clusters":[{"name":"c","cluster":{"server":"https://169.254.169.254"}}],"users":[{"name":"u","user":{"token":"t"}}]}`

func (h *hostile) ask(t *testing.T, who, method, url, body string) (status int, code string) {
	t.Helper()
	kubeconfig, _ := json.Marshal([]byte(metadata))
	own := h.r.Names().Own()
	replace := strings.NewReplacer(
		"VAULTS", h.r.group()+"/providers/Microsoft.KeyVault/vaults", "GROUP", h.r.group(), "TENANT", h.r.admin.TenantID, "OWNER", h.r.admin.ClientID,
		`"METADATA"`, string(kubeconfig), "ME", h.ids[who],
		"POLICY", `{"tenantId":"`+h.r.admin.TenantID+`","objectId":"`+h.ids[who]+`","permissions":{"secrets":["get","list"]}}`)
	surface, path, _ := strings.Cut(url, ":")
	base, audience := own.VaultURL(surface), own.VaultResource()
	switch surface {
	case "arm":
		base, audience = own.ManagementURL(), own.ManagementURL()
	case "graph":
		base, audience = own.GraphURL(), own.GraphURL()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+replace.Replace(path), strings.NewReader(replace.Replace(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if who != "" {
		token, err := h.who[who].Token(t.Context(), audience)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := h.to.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "hidden") {
		t.Errorf("the answer has the secret: %s", b)
	}
	var answer struct {
		Error struct {
			Code  string
			Inner struct{ Code string } `json:"innererror"`
		}
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		t.Fatalf("%d %s", res.StatusCode, b)
	}
	if code = answer.Error.Inner.Code; code == "" {
		code = answer.Error.Code
	}
	t.Logf("%d %.300s", res.StatusCode, b)
	return res.StatusCode, code
}
