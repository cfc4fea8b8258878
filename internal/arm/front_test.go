package arm_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestRefusedCallsChangeNothing(t *testing.T) {
	l := newLab(t).withGroup()
	l.principal(nobody)
	l.principal(ended)
	l.grant(subID+"/resourceGroups/other", ownerRole, reader)
	l.must(201, "PUT", identities+"/web", east)
	l.must(201, "PUT", identities+"/web/federatedIdentityCredentials/one", credential("https://issuer.example/", "s"))
	l.must(200, "PUT", vaults+"/kv-refused", plainVault)
	tag := l.must(200, "GET", identities+"/web", "").header.Get("ETag")
	assignment := labGroup + "/providers/Microsoft.Authorization/roleAssignments/"
	deep := strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000)

	tests := []struct {
		name, who, method, path, body string
		header                        string
		status                        int
		code                          string
	}{
		{"no token", "", "PUT", identities + "/new", east, "", 401, "AuthenticationFailed"},
		{"bad signature", "x", "PUT", identities + "/new", east, "", 401, "InvalidAuthenticationToken"},
		{"expired token", "expired", "PUT", identities + "/new", east, "", 401, "ExpiredAuthenticationToken"},
		{"other audience", "audience", "PUT", identities + "/new", east, "", 401, "InvalidAuthenticationTokenAudience"},
		{"other tenant", "tenant", "PUT", identities + "/new", east, "", 401, "InvalidAuthenticationTokenTenant"},
		{"no role", "nobody", "PUT", identities + "/new", east, "", 403, "AuthorizationFailed"},
		{"no role, nothing there", "nobody", "GET", identities + "/missing", "", "", 403, "AuthorizationFailed"},
		{"no role, no group", "nobody", "GET", subID + "/resourceGroups/missing/providers/Microsoft.KeyVault/vaults/x", "", "", 403, "AuthorizationFailed"},
		{"role that ended", "ended", "DELETE", identities + "/web", "", "", 403, "AuthorizationFailed"},
		{"role elsewhere", "reader", "PUT", identities + "/new", east, "", 403, "AuthorizationFailed"},
		{"role elsewhere grants", "reader", "PUT", assignment + sub, `{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + ownerRole + `","principalId":"` + nobody + `"}}`, "", 403, "AuthorizationFailed"},

		{"malformed version", "admin", "PUT", identities + "/new?api-version=latest", east, "", 400, "InvalidApiVersionParameter"},
		{"impossible version", "admin", "PUT", identities + "/new?api-version=2024-13-40", east, "", 400, "InvalidApiVersionParameter"},
		{"old version", "admin", "PUT", identities + "/new?api-version=2014-01-01", east, "", 400, "NoRegisteredProviderFound"},
		{"empty version", "admin", "PUT", identities + "/new?api-version=", east, "", 400, "MissingApiVersionParameter"},
		{"other subscription", "admin", "PUT", strings.Replace(identities, sub, tenant, 1) + "/new", east, "", 404, "SubscriptionNotFound"},
		{"unknown provider", "admin", "PUT", labGroup + "/providers/Microsoft.Nothing/things/x", east, "", 404, "InvalidResourceNamespace"},
		{"unknown type", "admin", "PUT", labGroup + "/providers/Microsoft.KeyVault/caves/x", east, "", 404, "InvalidResourceType"},
		{"unknown action", "admin", "POST", vaults + "/kv-refused/explode", "{}", "", 404, "InvalidResourceType"},
		{"wrong place", "admin", "PUT", subID + "/providers/Microsoft.KeyVault/vaults/x", plainVault, "", 404, "InvalidResourceType"},
		{"PUT of a collection", "admin", "PUT", identities, east, "", 405, "MethodNotAllowed"},
		{"PATCH of a credential", "admin", "PATCH", identities + "/web/federatedIdentityCredentials/one", "{}", "", 405, "MethodNotAllowed"},
		{"missing group", "admin", "PUT", subID + "/resourceGroups/missing/providers/Microsoft.ManagedIdentity/userAssignedIdentities/x", east, "", 404, "ResourceGroupNotFound"},
		{"missing parent", "admin", "PUT", identities + "/none/federatedIdentityCredentials/one", credential("https://a.example", "s"), "", 404, "ParentResourceNotFound"},
		{"missing resource", "admin", "PATCH", identities + "/none", "{}", "", 404, "ResourceNotFound"},

		{"encoded slash", "admin", "PUT", identities + "/a%2Fb", east, "", 400, "InvalidRequestUri"},
		{"encoded NUL", "admin", "PUT", identities + "/a%00b", east, "", 400, ""},
		{"encoded dots", "admin", "PUT", identities + "/%2e%2e", east, "", 400, ""},
		{"other alphabet", "admin", "PUT", identities + "/идентичность", east, "", 400, "InvalidRequestUri"},
		{"10,000 characters", "admin", "PUT", identities + "/" + strings.Repeat("x", 10000), east, "", 400, "InvalidRequestUri"},
		{"short name", "admin", "PUT", identities + "/ab", east, "", 400, "InvalidResourceName"},
		{"long name", "admin", "PUT", identities + "/" + strings.Repeat("x", 129), east, "", 400, "InvalidResourceName"},
		{"long group name", "admin", "PUT", subID + "/resourceGroups/" + strings.Repeat("x", 91), east, "", 400, "InvalidResourceGroup"},
		{"group name ends with a period", "admin", "PUT", subID + "/resourceGroups/a.", east, "", 400, "InvalidResourceGroup"},
		{"short credential name", "admin", "PUT", identities + "/web/federatedIdentityCredentials/ab", credential("https://a.example", "s"), "", 400, "BadRequest"},
		{"vault name with double dash", "admin", "PUT", vaults + "/a--b", plainVault, "", 400, "VaultNameNotValid"},
		{"assignment that is no GUID", "admin", "PUT", assignment + "x", "{}", "", 400, "InvalidResourceName"},

		{"not JSON", "admin", "PUT", identities + "/new", "{", "", 400, "InvalidRequestContent"},
		{"no body", "admin", "PUT", identities + "/new", "", "", 400, "InvalidRequestContent"},
		{"10,000 deep", "admin", "PUT", identities + "/new", deep, "", 400, "InvalidRequestContent"},
		{"repeated key", "admin", "PUT", identities + "/new", `{"location":"eastus","location":"westus"}`, "", 400, "InvalidRequestContent"},
		{"wrong type", "admin", "PUT", identities + "/new", `{"location":7}`, "", 400, "InvalidRequestContent"},
		{"wrong type inside", "admin", "PUT", vaults + "/kv-new", `{"location":"eastus","properties":{"sku":[]}}`, "", 400, "InvalidRequestContent"},
		{"no location", "admin", "PUT", identities + "/new", "{}", "", 400, "LocationRequired"},
		{"odd location", "admin", "PUT", identities + "/new", `{"location":"../x"}`, "", 400, "InvalidRequestContent"},
		{"location changed", "admin", "PUT", identities + "/web", `{"location":"westus"}`, "", 409, "InvalidResourceLocation"},
		{"group's location changed", "admin", "PUT", labGroup, `{"location":"westus"}`, "", 409, "InvalidResourceGroupLocation"},
		{"51 tags", "admin", "PUT", identities + "/new", `{"location":"eastus","tags":{` + manyTags(51) + `}}`, "", 400, "TooManyTags"},
		{"long tag", "admin", "PUT", identities + "/new", `{"location":"eastus","tags":{"a":"` + strings.Repeat("x", 257) + `"}}`, "", 400, "InvalidTagNameOrValue"},
		{"tag twice", "admin", "PUT", identities + "/new", `{"location":"eastus","tags":{"a":"1","A":"2"}}`, "", 400, "InvalidRequestContent"},

		{"stale ETag", "admin", "PUT", identities + "/web", east, `If-Match: "1"`, 412, "PreconditionFailed"},
		{"If-Match on nothing", "admin", "PUT", identities + "/new", east, "If-Match: *", 412, "PreconditionFailed"},
		{"create only", "admin", "PUT", identities + "/web", east, "If-None-Match: *", 412, "PreconditionFailed"},
		{"delete with a stale ETag", "admin", "DELETE", identities + "/web", "", `If-Match: "1"`, 412, "PreconditionFailed"},
		{"not modified is not written", "admin", "PUT", identities + "/web", east, "If-None-Match: " + tag, 412, "PreconditionFailed"},

		{"issuer without https", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", credential("http://a.example", "s"), "", 400, "BadRequest"},
		{"issuer with a query", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", credential("https://a.example?x", "s"), "", 400, "BadRequest"},
		{"issuer with a newline", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", credential("https://a.example\n", "s"), "", 400, "BadRequest"},
		{"no subject", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", credential("https://a.example", ""), "", 400, "BadRequest"},
		{"long subject", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", credential("https://a.example", strings.Repeat("x", 601)), "", 400, "BadRequest"},
		{"same issuer and subject", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", credential("https://issuer.example/", "s"), "", 400, "BadRequest"},
		{"no audience", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", `{"properties":{"issuer":"https://a.example","subject":"s","audiences":[]}}`, "", 400, "BadRequest"},
		{"two audiences", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", `{"properties":{"issuer":"https://a.example","subject":"s","audiences":["a","b"]}}`, "", 400, "BadRequest"},
		{"empty properties", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", `{}`, "", 400, "BadRequest"},
		{"subject and expression", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", `{"properties":{"issuer":"https://a.example","subject":"s","audiences":["a"],"claimsMatchingExpression":{"value":"claims['sub'] eq 'x'","languageVersion":1}}}`, "", 400, "BadRequest"},
		{"bad expression", "admin", "PUT", identities + "/web/federatedIdentityCredentials/two", `{"properties":{"issuer":"https://a.example","audiences":["a"],"claimsMatchingExpression":{"value":"sub eq x","languageVersion":1}}}`, "", 400, "BadRequest"},

		{"vault of another tenant", "admin", "PUT", vaults + "/kv-new", strings.Replace(plainVault, tenant, sub, 1), "", 400, "BadRequest"},
		{"unknown default action", "admin", "PATCH", vaults + "/kv-refused", `{"properties":{"networkAcls":{"defaultAction":"Ask"}}}`, "", 400, "BadRequest"},
		{"unknown bypass", "admin", "PATCH", vaults + "/kv-refused", `{"properties":{"networkAcls":{"bypass":"All"}}}`, "", 400, "BadRequest"},
		{"address rule that is none", "admin", "PATCH", vaults + "/kv-refused", `{"properties":{"networkAcls":{"defaultAction":"Deny","ipRules":[{"value":"192.0.2.0/24"},{"value":"example.com"}]}}}`, "", 400, "BadRequest"},
		{"subnet that is none", "admin", "PATCH", vaults + "/kv-refused", `{"properties":{"networkAcls":{"virtualNetworkRules":[{"id":"/subscriptions/x"}]}}}`, "", 400, "BadRequest"},
		{"unknown public access", "admin", "PATCH", vaults + "/kv-refused", `{"properties":{"publicNetworkAccess":"SecuredByPerimeter"}}`, "", 400, "BadRequest"},
		{"vault without soft delete", "admin", "PATCH", vaults + "/kv-refused", `{"properties":{"enableSoftDelete":false}}`, "", 400, "BadRequest"},
		{"retention changed", "admin", "PATCH", vaults + "/kv-refused", `{"properties":{"softDeleteRetentionInDays":7}}`, "", 400, "BadRequest"},
		{"unknown permission", "admin", "PUT", vaults + "/kv-refused/accessPolicies/add", `{"properties":{"accessPolicies":[{"tenantId":"` + tenant + `","objectId":"` + nobody + `","permissions":{"secrets":["steal"]}}]}}`, "", 400, "BadRequest"},
		{"unknown policy operation", "admin", "PUT", vaults + "/kv-refused/accessPolicies/swap", `{"properties":{"accessPolicies":[]}}`, "", 400, "InvalidResourceName"},
		{"recover what is not deleted", "admin", "PUT", vaults + "/kv-none", `{"location":"eastus","properties":{"createMode":"recover"}}`, "", 404, "DeletedVaultNotFound"},
		{"purge what is not deleted", "admin", "POST", subID + "/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/kv-refused/purge", "", "", 404, "DeletedVaultNotFound"},

		{"role that is not there", "admin", "PUT", assignment + sub, `{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + sub + `","principalId":"` + nobody + `"}}`, "", 400, "RoleDefinitionDoesNotExist"},
		{"principal that is not there", "admin", "PUT", assignment + sub, `{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + readerRole + `","principalId":"` + sub + `"}}`, "", 400, "PrincipalNotFound"},
		{"condition", "admin", "PUT", assignment + sub, `{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + readerRole + `","principalId":"` + nobody + `","condition":"x"}}`, "", 400, "BadRequest"},
		{"assignment on nothing", "admin", "PUT", vaults + "/none/providers/Microsoft.Authorization/roleAssignments/" + sub, `{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + readerRole + `","principalId":"` + nobody + `"}}`, "", 404, "ParentResourceNotFound"},
	}
	before := l.rev()
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			var headers []string
			if tt.header != "" {
				headers = append(headers, tt.header)
			}
			a := l.as(tt.who, tt.method, tt.path, tt.body, headers...)
			if a.status != tt.status || tt.code != "" && a.code() != tt.code {
				t.Errorf("%d %q, want %d %q; %v", a.status, a.code(), tt.status, tt.code, a.body)
			}
			if after := l.rev(); after != before {
				t.Errorf("the store went from revision %d to %d", before, after)
				before = after
			}
		})
	}
}

func manyTags(n int) string {
	var tags []string
	for i := range n {
		tags = append(tags, fmt.Sprintf(`"t%d":"v"`, i))
	}
	return strings.Join(tags, ",")
}

func TestMissingVersion(t *testing.T) {
	l := newLab(t)
	req, err := http.NewRequest("GET", "https://"+host+subID, nil)
	l.check(err)
	req.Header.Set("Authorization", "Bearer admin")
	resp, err := l.client.Do(req)
	l.check(err)
	defer resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("status %d, want 400", resp.StatusCode)
	}
}

func TestEveryAnswerCarriesIDs(t *testing.T) {
	l := newLab(t)
	id := "77777777-7777-4777-8777-777777777777"
	for _, who := range []string{"admin", ""} {
		h := l.as(who, "GET", subID, "", "x-ms-client-request-id: "+id).header
		if h.Get("x-ms-client-request-id") != id || h.Get("x-ms-correlation-request-id") != id ||
			h.Get("x-ms-request-id") == "" || h.Get("x-ms-routing-request-id") == "" {
			t.Errorf("as %q: headers %v", who, h)
		}
	}
	if h := l.as("audience", "GET", subID, "").header; h.Get("X") != "" || strings.Contains(h.Get("WWW-Authenticate"), "localhost\"\r") {
		t.Errorf("a token's claim broke out of the header: %v", h)
	}
}

func TestLetterCaseOfPaths(t *testing.T) {
	l := newLab(t).withGroup()
	made := l.must(201, "PUT", identities+"/Web-App", east)
	want := subID + "/resourcegroups/lab/providers/Microsoft.ManagedIdentity/userAssignedIdentities/Web-App"
	if made.body["id"] != want {
		t.Errorf("id %v, want %s", made.body["id"], want)
	}
	for _, path := range []string{strings.ToUpper(identities) + "/WEB-APP", strings.ToLower(identities) + "/web-app/", "//" + identities[1:] + "//Web-App"} {
		if got := l.must(200, "GET", path, ""); got.body["id"] != want {
			t.Errorf("GET %s: id %v, want %s", path, got.body["id"], want)
		}
	}
	l.must(200, "PUT", strings.ToUpper(identities)+"/WEB-APP", `{"location":"East US","tags":{"a":"b"}}`)
	if got := l.must(200, "GET", identities+"/web-app", ""); got.body["id"] != want || got.body["name"] != "Web-App" {
		t.Errorf("after a PUT in other case: %v", got.body)
	}
}

func TestTwoWritersWithOneETag(t *testing.T) {
	l := newLab(t).withGroup()
	tag := l.must(201, "PUT", identities+"/web", east).header.Get("ETag")
	if got := l.as("admin", "GET", identities+"/web", "", "If-None-Match: "+tag); got.status != 304 {
		t.Errorf("GET with the ETag: %d, want 304", got.status)
	}
	var wg sync.WaitGroup
	statuses := make([]int, 8)
	for i := range statuses {
		wg.Go(func() {
			a, err := l.try("admin", "PUT", identities+"/web", fmt.Sprintf(`{"location":"eastus","tags":{"n":"%d"}}`, i), "If-Match: "+tag)
			if err == nil {
				statuses[i] = a.status
			}
		})
	}
	wg.Wait()
	won := 0
	for _, s := range statuses {
		switch s {
		case 200:
			won++
		case 412:
		default:
			t.Errorf("statuses %v, want 200 and 412 only", statuses)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won, want 1: %v", won, statuses)
	}
}
