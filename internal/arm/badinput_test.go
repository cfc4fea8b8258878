package arm_test

import (
	"strings"
	"testing"
)

// refused sends a request that must be refused with one of the codes, and must
// change nothing.
func (l *lab) refused(t *testing.T, who, method, path, body string, status int, codes ...string) {
	t.Helper()
	before := l.rev()
	a := l.as(who, method, path, body)
	known := len(codes) == 0
	for _, c := range codes {
		known = known || a.code() == c
	}
	if a.status != status || !known {
		t.Errorf("%s %.200s %.80q: %d %q, want %d %v; %v", method, path, body, a.status, a.code(), status, codes, a.body)
	}
	if after := l.rev(); after != before {
		t.Errorf("%s %.200s: the store went from revision %d to %d", method, path, before, after)
	}
}

// bodies are requests that take one, by type.
func bodies() map[string][2]string {
	return map[string][2]string{
		"group":       {"PUT", subID + "/resourceGroups/new"},
		"group-tags":  {"PATCH", labGroup},
		"identity":    {"PUT", identities + "/new"},
		"credential":  {"PUT", identities + "/web/federatedIdentityCredentials/new"},
		"vault":       {"PUT", vaults + "/kv-new"},
		"vault-patch": {"PATCH", vaults + "/kv-bad"},
		"policies":    {"PUT", vaults + "/kv-bad/accessPolicies/add"},
		"vault-name":  {"POST", subID + "/providers/Microsoft.KeyVault/checkNameAvailability"},
		"assignment":  {"PUT", labGroup + "/providers/Microsoft.Authorization/roleAssignments/" + sub},
		"cluster":     {"PUT", clusters + "/new"},
		"binding":     {"PUT", clusters + "/one/identityBindings/new"},
		"issuer":      {"PUT", "/providers/Lanyard.Trust/issuers/new"},
	}
}

// withOneOfEach makes what the requests above hang on.
func (l *lab) withOneOfEach() *lab {
	l.withGroup()
	l.principal(nobody)
	l.must(201, "PUT", identities+"/web", east)
	l.must(200, "PUT", vaults+"/kv-bad", plainVault)
	l.must(201, "PUT", clusters+"/one", attachment(newKube(l.t).config(nil), nil))
	return l
}

const anyVersion = "?api-version=2026-11-01"

func TestMalformedBodies(t *testing.T) {
	l := newLab(t, withClusters(t)).withOneOfEach()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	malformed := map[string]string{
		"nothing":          "",
		"broken":           `{"location":"eastus"`,
		"two-documents":    `{"location":"eastus"} {}`,
		"not-UTF-8":        "{\"location\":\"\xff\"}",
		"form":             "location=eastus",
		"array":            `[{"location":"eastus"}]`,
		"string":           `"eastus"`,
		"number":           `7`,
		"deep":             deep(10000),
		"deep-inside":      `{"location":"eastus","properties":{"a":` + deep(10000) + `}}`,
		"key-twice":        `{"properties":{},"properties":{}}`,
		"key-twice-inside": `{"location":"eastus","properties":{"a":{"b":1,"b":2}}}`,
	}
	wrong := map[string]string{
		"properties-is-text":  `{"location":"eastus","properties":"x"}`,
		"properties-is-array": `{"location":"eastus","properties":[]}`,
	}
	for typ, request := range bodies() {
		t.Run(typ, func(t *testing.T) {
			for _, body := range malformed {
				l.refused(t, "admin", request[0], request[1]+anyVersion, body, 400, "InvalidRequestContent")
			}
			if strings.HasPrefix(typ, "group") || typ == "identity" || typ == "vault-name" {
				return // have no properties of their own to get wrong
			}
			for _, body := range wrong {
				l.refused(t, "admin", request[0], request[1]+anyVersion, body, 400, "InvalidRequestContent")
			}
		})
	}
}

// The check of the caller comes before anything that a body could say.
func TestBodiesOfStrangersAreNotJudged(t *testing.T) {
	l := newLab(t, withClusters(t)).withOneOfEach()
	for typ, request := range bodies() {
		t.Run(typ, func(t *testing.T) {
			for _, body := range []string{"{", "{}", `{"location":"eastus","properties":{}}`} {
				l.refused(t, "nobody", request[0], request[1]+anyVersion, body, 403, "AuthorizationFailed")
				l.refused(t, "", request[0], request[1]+anyVersion, body, 401, "AuthenticationFailed")
			}
		})
	}
}

func TestWrongPaths(t *testing.T) {
	l := newLab(t, withClusters(t)).withOneOfEach()
	long := strings.Repeat("x", 10000)
	for _, path := range []string{
		"/x", "/x/y", "/subscriptions", subID, subID + "/providers", subID + "/resourceGroups", labGroup + "/providers",
		labGroup + "/providers/Microsoft.KeyVault", labGroup + "/vaults/x", labGroup + "/Microsoft.KeyVault/vaults/x",
		"/resourceGroups/lab/providers/Microsoft.KeyVault/vaults/x", "/providers/Microsoft.KeyVault/vaults/x",
		vaults + "/kv-bad/x", vaults + "/kv-bad/secrets/x", vaults + "/kv-bad/providers", vaults + "/kv-bad/accessPolicies",
		identities + "/web/providers/Microsoft.KeyVault/vaults/x",
		vaults + "/kv-bad/federatedIdentityCredentials/one", identities + "/web/federatedIdentityCredentials/one/more/x",
		vaults + "/a%2Fb", vaults + "/a%2fb", vaults + "/a%5Cb", vaults + "/%2e%2e/kv-new", vaults + "/a%3Fb", vaults + "/a%23b", vaults + "/a%25b", vaults + "/a%0Ab",
		vaults + "/" + long, subID + "/resourceGroups/" + long, labGroup + "/providers/" + long + "/vaults/x", labGroup + "/providers/Microsoft.KeyVault/" + long + "/x",
		"/" + strings.Repeat("x/", 5000), strings.Repeat("/providers/Microsoft.KeyVault/vaults/x", 100),
	} {
		for _, method := range []string{"PUT", "PATCH", "DELETE"} {
			before := l.rev()
			a := l.as("admin", method, path+anyVersion, plainVault)
			if a.status < 400 || a.status >= 500 || a.code() == "" {
				t.Errorf("%s %.200s: %d %q, want a refusal", method, path, a.status, a.code())
			}
			if l.rev() != before {
				t.Errorf("%s %.200s changed something", method, path)
			}
		}
	}
}

// Extra slashes are what a client makes of a base URL that ends with one.
func TestDoubleSlashesNameTheSame(t *testing.T) {
	l := newLab(t).withGroup()
	l.must(201, "PUT", "/"+strings.ReplaceAll(identities, "/", "//")+"//web//", east)
	l.must(200, "PUT", identities+"/web", east)
}

func TestMissingParents(t *testing.T) {
	l := newLab(t, withClusters(t)).withOneOfEach()
	role := `{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + readerRole + `","principalId":"` + nobody + `"}}`
	gone := strings.Replace(labGroup, "/lab", "/gone", 1)
	for path, want := range map[string]struct{ body, code string }{
		gone + "/providers/Microsoft.KeyVault/vaults/kv-new":                          {plainVault, "ResourceGroupNotFound"},
		gone + "/providers/Microsoft.ContainerService/managedClusters/c":              {east, "ResourceGroupNotFound"},
		gone + "/providers/Microsoft.Authorization/roleAssignments/" + sub:            {role, "ResourceGroupNotFound"},
		identities + "/gone/federatedIdentityCredentials/one":                         {credential("https://a.example", "s"), "ParentResourceNotFound"},
		identities + "/gone/providers/Microsoft.Authorization/roleAssignments/" + sub: {role, "ParentResourceNotFound"},
		vaults + "/kv-gone/accessPolicies/add":                                        {`{"properties":{"accessPolicies":[]}}`, "ParentResourceNotFound"},
		clusters + "/gone/identityBindings/one":                                       {bind("web"), "ParentResourceNotFound"},
	} {
		l.refused(t, "admin", "PUT", path+anyVersion, want.body, 404, want.code)
	}
}

func TestNamesAtTheirLimits(t *testing.T) {
	l := newLab(t, withClusters(t)).withOneOfEach()
	long := func(n int) string { return strings.Repeat("x", n) }
	role := `{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + readerRole + `","principalId":"` + nobody + `"}}`
	kube := attachment(newKube(t).config(nil), nil)
	for typ, tt := range map[string]struct {
		collection, body string
		good, bad        []string
	}{
		"group":      {subID + "/resourceGroups", east, []string{"g", long(90), "a.b", "(a)_-9"}, []string{long(91), "a.", "a*b", "a b"}},
		"identity":   {identities, east, []string{"abc", long(128), "9-_"}, []string{"ab", long(129), "-ab", "_ab", "a.b", "a b"}},
		"credential": {identities + "/web/federatedIdentityCredentials", "", []string{"abc", long(120), "9-_"}, []string{"ab", long(121), "-ab", "a.b"}},
		"vault":      {vaults, plainVault, []string{"abc", long(24), "a-9"}, []string{"ab", long(25), "9ab", "-ab", "ab-", "a--b", "a_b", "a.b"}},
		"cluster":    {clusters, kube, []string{"a", long(63), "a-_9"}, []string{long(64), "-a", "a-", "_a", "a.b"}},
		"assignment": {labGroup + "/providers/Microsoft.Authorization/roleAssignments", role,
			[]string{"AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA"}, []string{"x", sub + "0", "{" + sub + "}", strings.ReplaceAll(sub, "-", "")}},
	} {
		t.Run(typ, func(t *testing.T) {
			for _, name := range tt.bad {
				body := tt.body
				if typ == "credential" {
					body = credential("https://a.example", name)
				}
				l.refused(t, "admin", "PUT", tt.collection+"/"+strings.ReplaceAll(name, " ", "%20")+anyVersion, body, 400)
			}
			for _, name := range tt.good {
				body := tt.body
				if typ == "credential" {
					body = credential("https://a.example", name)
				}
				if a := l.as("admin", "PUT", tt.collection+"/"+name+anyVersion, body); a.status/100 != 2 || a.body["name"] != name {
					t.Errorf("%s: %d %v", name, a.status, a.body)
				}
			}
		})
	}
}

func TestValuesAtTheirLimits(t *testing.T) {
	l := newLab(t).withGroup()
	l.must(201, "PUT", identities+"/web", east)
	long := func(n int) string { return strings.Repeat("x", n) }
	tags := func(s string) string { return `{"location":"eastus","tags":{` + s + `}}` }
	l.must(200, "PUT", identities+"/web", tags(manyTags(50)))
	l.refused(t, "admin", "PUT", identities+"/web", tags(manyTags(51)), 400, "TooManyTags")
	l.must(200, "PUT", identities+"/web", tags(`"`+long(512)+`":"`+long(256)+`"`))
	l.refused(t, "admin", "PUT", identities+"/web", tags(`"`+long(513)+`":""`), 400, "InvalidTagNameOrValue")
	l.refused(t, "admin", "PUT", identities+"/web", tags(`"a":"`+long(257)+`"`), 400, "InvalidTagNameOrValue")

	one := identities + "/web/federatedIdentityCredentials/one"
	issuer := "https://a.example/" + long(600-len("https://a.example/"))
	l.must(201, "PUT", one, credential(issuer, long(600)))
	l.refused(t, "admin", "PUT", one, credential(issuer+"x", "s"), 400, "BadRequest")
	l.refused(t, "admin", "PUT", one, credential(issuer, long(601)), 400, "BadRequest")

	retention := func(days string) string {
		return strings.Replace(plainVault, `"sku"`, `"softDeleteRetentionInDays":`+days+`,"sku"`, 1)
	}
	for _, days := range []string{"6", "91", "-7", "7.5", "1e400"} {
		l.refused(t, "admin", "PUT", vaults+"/kv-days", retention(days), 400, "BadRequest", "InvalidRequestContent")
	}
	l.must(200, "PUT", vaults+"/kv-days", retention("7"))
	l.must(200, "PUT", vaults+"/kv-day2", retention("90"))
}

func TestWhatCannotChange(t *testing.T) {
	l := newLab(t, withClusters(t)).withOneOfEach()
	assignment := labGroup + "/providers/Microsoft.Authorization/roleAssignments/" + sub
	role := func(id, principal string) string {
		return `{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + id + `","principalId":"` + principal + `"}}`
	}
	l.must(201, "PUT", assignment, role(readerRole, nobody))
	l.must(200, "PUT", clusters+"/one"+anyVersion, `{"location":"eastus","properties":{"oidcIssuerProfile":{"enabled":true}}}`)
	l.must(200, "PATCH", vaults+"/kv-bad", `{"properties":{"enablePurgeProtection":true}}`)
	for _, tt := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"PUT", labGroup, `{"location":"westus"}`, 409, "InvalidResourceGroupLocation"},
		{"PUT", identities + "/web", `{"location":"westus"}`, 409, "InvalidResourceLocation"},
		{"PUT", vaults + "/kv-bad", strings.Replace(plainVault, "eastus", "westus", 1), 409, "InvalidResourceLocation"},
		{"PUT", clusters + "/one", `{"location":"westus"}`, 409, "InvalidResourceLocation"},
		{"PATCH", vaults + "/kv-bad", `{"properties":{"tenantId":"` + sub + `"}}`, 400, "BadRequest"},
		{"PATCH", vaults + "/kv-bad", `{"properties":{"enablePurgeProtection":false}}`, 400, "BadRequest"},
		{"PATCH", vaults + "/kv-bad", `{"properties":{"softDeleteRetentionInDays":30}}`, 400, "BadRequest"},
		{"PUT", clusters + "/one", `{"location":"eastus","properties":{"oidcIssuerProfile":{"enabled":false}}}`, 400, "BadRequest"},
		{"PUT", clusters + "/one", `{"location":"eastus","properties":{"kubernetesVersion":"1.20.0"}}`, 400, "BadRequest"},
		{"PUT", assignment, role(ownerRole, nobody), 409, "RoleAssignmentUpdateNotPermitted"},
		{"PUT", assignment, role(readerRole, admin), 409, "RoleAssignmentUpdateNotPermitted"},
	} {
		l.refused(t, "admin", tt.method, tt.path+anyVersion, tt.body, tt.status, tt.code)
	}
}
