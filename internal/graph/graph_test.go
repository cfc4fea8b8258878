package graph_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/graph"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/wiretest"
)

func TestWire(t *testing.T) {
	e := newEnv(t)
	i := e.identity(t, "workshop-identity")
	e.Put(t, &model.Application{AppID: model.NewUUID(), ObjectID: model.NewUUID(), PrincipalID: model.NewUUID(), Name: "it's there", Created: time.Now()})
	wiretest.Run(t, e.client, "testdata/*.wire", map[string]string{
		"tenant": tenant, "clientId": i.ClientID, "principalId": i.PrincipalID, "identity": i.ID,
		"certificate": testCertificate(t, 2048), "small": testCertificate(t, 1024),
	})
}

func TestNewRefusesHalfAConfig(t *testing.T) {
	if _, err := graph.New(graph.Config{}); err == nil {
		t.Error("New of an empty Config gave no error")
	}
}

// From creation to deletion, the token service follows at once.
func TestLifeOfAnApplication(t *testing.T) {
	e := newEnv(t)
	const resource = "https://graph.lanyard.test"
	app := e.do(t, "POST", "/applications", `{"displayName":"deployer","keyCredentials":[]}`).want(t, 201)
	first := e.do(t, "POST", "/applications/"+app.ID+"/addPassword", `{"passwordCredential":{"displayName":"rbac"}}`).want(t, 200)
	e.signIn(t, app.AppID, first.SecretText, resource).want(t, 400) // no service principal yet

	principal := e.do(t, "POST", "/servicePrincipals", `{"appId":"`+app.AppID+`"}`).want(t, 201)
	token := e.signIn(t, app.AppID, first.SecretText, resource).want(t, 200).Token
	e.as(t, token, "GET", "/applications", "").want(t, 403)
	e.Assign(t, principal.ID, reader, "/")
	e.as(t, token, "GET", "/applications", "").want(t, 200)
	e.as(t, token, "GET", "/me", "").want(t, 400)

	second := e.do(t, "POST", "/applications/"+app.ID+"/addPassword", "").want(t, 200)
	e.do(t, "POST", "/applications/"+app.ID+"/removePassword", `{"keyId":"`+first.KeyID+`"}`).want(t, 204)
	e.signIn(t, app.AppID, first.SecretText, resource).want(t, 401)
	e.signIn(t, app.AppID, second.SecretText, resource).want(t, 200)

	e.do(t, "PATCH", "/servicePrincipals/"+principal.ID, `{"accountEnabled":false}`).want(t, 204)
	e.signIn(t, app.AppID, second.SecretText, resource).want(t, 400)
	e.do(t, "PATCH", "/servicePrincipals/"+principal.ID, `{"accountEnabled":true}`).want(t, 204)
	e.signIn(t, app.AppID, second.SecretText, resource).want(t, 200)

	e.Ahead.Store(int64(3 * 365 * 24 * time.Hour))
	e.signIn(t, app.AppID, second.SecretText, resource).want(t, 401)
	e.Ahead.Store(0)

	e.do(t, "POST", "/applications/"+app.ID+"/federatedIdentityCredentials",
		`{"name":"github","issuer":"https://issuer.example","subject":"x","audiences":["api://AzureADTokenExchange"]}`).want(t, 201)
	e.do(t, "DELETE", "/applications/"+app.ID, "").want(t, 204)
	e.signIn(t, app.AppID, second.SecretText, resource).want(t, 400)
	e.as(t, token, "GET", "/applications", "").want(t, 403) // its roles are gone, too
	e.nothingLeft(t, app.AppID, principal.ID)
}

// nothingLeft looks for what should have gone with an application.
func (e *env) nothingLeft(t *testing.T, appID, principalID string) {
	t.Helper()
	v, err := e.Store.Fresh(t.Context())
	must(t, err)
	for entry := range v.Prefix(model.ApplicationKey(appID), "") {
		t.Errorf("%s is still there", entry.Key)
	}
	for entry := range v.Lookup(model.RoleIndex(principalID)) {
		t.Errorf("%s is still there", entry.Key)
	}
}

// An application that is given a new service principal is not who it was.
func TestDeletedPrincipal(t *testing.T) {
	e := newEnv(t)
	app, principal := e.app(t, "short-lived")
	e.Assign(t, principal.ID, owner, "/")
	secret := e.do(t, "POST", "/servicePrincipals/"+principal.ID+"/addPassword", "{}").want(t, 200).SecretText
	e.do(t, "DELETE", "/servicePrincipals/"+principal.ID, "").want(t, 204)
	e.do(t, "GET", "/servicePrincipals/"+principal.ID, "").want(t, 404)
	e.signIn(t, app.AppID, secret, "https://graph.lanyard.test").want(t, 400)

	again := e.do(t, "POST", "/servicePrincipals", `{"appId":"`+app.AppID+`"}`).want(t, 201)
	if again.ID == principal.ID {
		t.Error("the new service principal has the old one's object id")
	}
	token := e.signIn(t, app.AppID, secret, "https://graph.lanyard.test").want(t, 200).Token
	e.as(t, token, "GET", "/servicePrincipals", "").want(t, 403)
}

func TestDeleteTakesManyAssignments(t *testing.T) {
	e := newEnv(t)
	app, principal := e.app(t, "busy")
	for i := range 2*store.MaxOps + 1 {
		e.Assign(t, principal.ID, reader, fmt.Sprintf("%s/resourceGroups/rg%d", sub, i))
	}
	e.do(t, "DELETE", "/applications/"+app.ID, "").want(t, 204)
	e.nothingLeft(t, app.AppID, principal.ID)
}

// The secret is shown once, and kept nowhere.
func TestSecretIsNotKept(t *testing.T) {
	e := newEnv(t)
	app, principal := e.app(t, "secretive")
	made := e.do(t, "POST", "/applications/"+app.ID+"/addPassword", `{}`).want(t, 200)
	if len(made.SecretText) < 32 || strings.HasPrefix(made.SecretText, "-") {
		t.Fatalf("a secret of %d characters", len(made.SecretText))
	}
	for _, path := range []string{"/applications/" + app.ID, "/servicePrincipals/" + principal.ID, "/applications"} {
		if got := e.do(t, "GET", path, "").want(t, 200); strings.Contains(got.Raw, made.SecretText) {
			t.Errorf("GET %s shows the secret", path)
		}
	}
	v, err := e.Store.Fresh(t.Context())
	must(t, err)
	stored, err := model.Encode(v.Get(model.ApplicationKey(app.AppID)).Value)
	must(t, err)
	sum := sha256.Sum256([]byte(made.SecretText))
	a, _, _ := store.Get[*model.Application](v, model.ApplicationKey(app.AppID))
	if strings.Contains(string(stored), made.SecretText) || hex.EncodeToString(a.Secrets[0].SHA256) != hex.EncodeToString(sum[:]) {
		t.Errorf("stored: %s", stored)
	}
	if cc := made.Header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("Cache-Control: %q", cc)
	}
}

// matrix is who may do what. Reading service principals is for everyone with a
// role that may read role assignments, wherever it is.
func TestWhoMayDoWhat(t *testing.T) {
	e := newEnv(t)
	app, principal := e.app(t, "target")
	body := `{"displayName":"x"}`
	for _, c := range []struct {
		method, path, body string
		may                []string
	}{
		{"GET", "/servicePrincipals", "", []string{"alice", "contributor", "reader", "useradmin", "subowner", "vaults"}},
		{"GET", "/servicePrincipals/" + principal.ID, "", []string{"alice", "contributor", "reader", "useradmin", "subowner", "vaults"}},
		{"POST", "/directoryObjects/getByIds", `{"ids":["` + principal.ID + `"]}`, []string{"alice", "contributor", "reader", "useradmin", "subowner", "vaults"}},
		{"GET", "/users", "", []string{"alice", "contributor", "reader", "useradmin", "subowner", "vaults"}},
		{"GET", "/applications", "", []string{"alice", "contributor", "reader", "useradmin"}},
		{"GET", "/applications/" + app.ID, "", []string{"alice", "contributor", "reader", "useradmin"}},
		{"GET", "/applications/" + app.ID + "/federatedIdentityCredentials", "", []string{"alice", "contributor", "reader", "useradmin"}},
		{"PATCH", "/applications/" + app.ID, body, []string{"alice", "useradmin"}},
		{"POST", "/applications/" + app.ID + "/addPassword", "{}", []string{"alice", "useradmin"}},
		{"POST", "/servicePrincipals/" + principal.ID + "/addPassword", "{}", []string{"alice", "useradmin"}},
		{"PATCH", "/servicePrincipals/" + principal.ID, "{}", []string{"alice", "useradmin"}},
		{"POST", "/applications", body, []string{"alice", "useradmin"}},
		{"DELETE", "/servicePrincipals/" + model.NewUUID(), "", []string{"alice", "useradmin"}},
		{"DELETE", "/applications/" + model.NewUUID(), "", []string{"alice", "useradmin"}},
	} {
		for who := range people {
			before := e.View(t).Rev()
			got := e.as(t, who, c.method, c.path, c.body)
			if may := slices.Contains(c.may, who); may != (got.Status != 403) {
				t.Errorf("%s %s as %s: %d, may %v", c.method, c.path, who, got.Status, may)
			}
			if got.Status == 403 && e.View(t).Rev() != before {
				t.Errorf("%s %s as %s: refused, and stored something", c.method, c.path, who)
			}
			records, err := e.Gate.Find(t.Context(), got.Header.Get("request-id"))
			must(t, err)
			if len(records) != 1 || records[0].Granted != (got.Status != 403) || records[0].Caller.ObjectID != people[who].id {
				t.Errorf("%s %s as %s: records %+v", c.method, c.path, who, records)
			}
		}
	}
}

// No refused change leaves anything behind.
func TestRefusalsStoreNothing(t *testing.T) {
	e := newEnv(t)
	app, principal := e.app(t, "steady")
	a, p := "/applications/"+app.ID, "/servicePrincipals/"+principal.ID
	federated := a + "/federatedIdentityCredentials"
	e.do(t, "POST", federated, `{"name":"one","issuer":"https://i.example","subject":"s","audiences":["a"]}`).want(t, 201)
	before := e.View(t).Rev()
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/applications", `{`},
		{"POST", "/applications", `{"displayName":""}`},
		{"POST", "/applications", `{"displayName":"` + strings.Repeat("x", 257) + `"}`},
		{"POST", "/applications", `{"displayName":"x","displayName":"y"}`},
		{"POST", "/applications", `{"displayName":7}`},
		{"POST", "/applications", strings.Repeat("[", 10_000)},
		{"POST", "/applications", `{"displayName":"x","identifierUris":["api://x"]}`},
		{"POST", "/applications", `{"displayName":"x","passwordCredentials":[{}]}`},
		{"POST", "/applications", `{"displayName":"x","signInAudience":"AzureADMultipleOrgs"}`},
		{"PATCH", a, `{"displayName":"a\u0000b"}`},
		{"PATCH", a, `{"keyCredentials":[{}]}`},
		{"POST", a + "/addPassword", `{"passwordCredential":{"endDateTime":"2001-01-01T00:00:00Z"}}`},
		{"POST", a + "/addPassword", `{"passwordCredential":{"endDateTime":"9001-01-01T00:00:00Z"}}`},
		{"POST", a + "/addPassword", `{"passwordCredential":{"startDateTime":"2090-01-01T00:00:00Z","endDateTime":"2089-01-01T00:00:00Z"}}`},
		{"POST", a + "/addPassword", `{"passwordCredential":{"endDateTime":"tomorrow"}}`},
		{"POST", a + "/removePassword", `{"keyId":"` + model.NewUUID() + `"}`},
		{"POST", "/servicePrincipals", `{"appId":"` + app.AppID + `"}`},
		{"POST", "/servicePrincipals", `{"appId":"` + model.NewUUID() + `"}`},
		{"POST", "/servicePrincipals", `{"appId":"x"}`},
		{"PATCH", p, `{"accountEnabled":"no"}`},
		{"POST", federated, `{"name":"one","issuer":"https://j.example","subject":"s","audiences":["a"]}`},
		{"POST", federated, `{"name":"two","issuer":"https://i.example","subject":"s","audiences":["b"]}`},
		{"POST", federated, `{"name":"../x","issuer":"https://i.example","subject":"t","audiences":["a"]}`},
		{"POST", federated, `{"name":"two","issuer":"http://i.example","subject":"t","audiences":["a"]}`},
		{"POST", federated, `{"name":"two","issuer":"https://i.example","audiences":["a"]}`},
		{"POST", federated, `{"name":"two","issuer":"https://i.example","subject":"t","audiences":["a","b"]}`},
		{"PATCH", federated + "/one", `{"name":"other"}`},
		{"PATCH", federated + "/one", `{"audiences":[]}`},
		{"DELETE", federated + "/other", ""},
		{"DELETE", "/applications/" + principal.ID, ""},
		{"DELETE", "/servicePrincipals/" + app.ID, ""},
		{"DELETE", "/applications", ""},
	} {
		if got := e.do(t, c.method, c.path, c.body); got.Status < 400 || got.Status >= 500 {
			t.Errorf("%s %s %.80s: %d %s", c.method, c.path, c.body, got.Status, got.Raw)
		}
	}
	if after := e.View(t).Rev(); after != before {
		t.Errorf("the store went from revision %d to %d", before, after)
	}
}

// Of many that add at once, as many succeed as are stored, and never too many.
func TestAddingAtOnce(t *testing.T) {
	e := newEnv(t)
	app, _ := e.app(t, "crowded")
	race := func(path string, body func(int) string) (made int) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				switch got := e.do(t, "POST", "/applications/"+app.ID+path, body(i)); got.Status {
				case 200, 201:
					mu.Lock()
					made++
					mu.Unlock()
				case 403: // one too many; nobody is told that others were faster
				default:
					t.Errorf("%s: %d %s", path, got.Status, got.Raw)
				}
			})
		}
		wg.Wait()
		return made
	}
	made := race("/addPassword", func(int) string { return "{}" })
	if stored := len(e.do(t, "GET", "/applications/"+app.ID, "").Passwords); made != 10 || stored != 10 {
		t.Errorf("%d passwords made, %d stored, want 10", made, stored)
	}
	made = race("/federatedIdentityCredentials", func(i int) string {
		return fmt.Sprintf(`{"name":"fic-%d","issuer":"https://i.example","subject":"s%d","audiences":["a"]}`, i, i)
	})
	if stored := len(e.do(t, "GET", "/applications/"+app.ID+"/federatedIdentityCredentials", "").Value); made != 3 || stored != 3 {
		t.Errorf("%d credentials made, %d stored, want 3", made, stored)
	}
}

// Of those who want one unique name at once, one makes the application and the others change it.
func TestUniqueNameAtOnce(t *testing.T) {
	e := newEnv(t)
	var mu sync.Mutex
	var wg sync.WaitGroup
	statuses := map[int]int{}
	for range 12 {
		wg.Go(func() {
			got := e.do(t, "PATCH", "/applications(uniqueName='one')", `{"displayName":"one"}`, "Prefer", "create-if-missing")
			mu.Lock()
			defer mu.Unlock()
			statuses[got.Status]++
		})
	}
	wg.Wait()
	if statuses[201] != 1 || statuses[204] != 11 {
		t.Errorf("statuses %v, want one 201 and eleven 204", statuses)
	}
	if n := len(e.do(t, "GET", "/applications?$filter=displayName%20eq%20'one'", "").Value); n != 1 {
		t.Errorf("%d applications, want 1", n)
	}
}

// The pages of a list are the list, whatever their size, and a filter by any
// name finds that name.
func TestPagesAndFilters(t *testing.T) {
	e := newEnv(t)
	var names []string
	for _, name := range []string{"a", "A b", "it's", "''", "ü", "%27", "a') or (true", "x eq 'y'", "one", "two", "three"} {
		e.app(t, name)
		names = append(names, name)
	}
	for i := range 7 {
		e.identity(t, fmt.Sprintf("identity-%d", i))
		names = append(names, fmt.Sprintf("identity-%d", i))
	}
	for name, p := range people {
		if p.role != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	all := func(path string) (found []string) {
		for path != "" {
			page := e.do(t, "GET", path, "").want(t, 200)
			for _, v := range page.Value {
				found = append(found, v.DisplayName)
			}
			path = page.NextLink
		}
		slices.Sort(found)
		return found
	}
	rapid.Check(t, func(rt *rapid.T) {
		top := rapid.IntRange(1, len(names)+1).Draw(rt, "top")
		if got := all(fmt.Sprintf("/servicePrincipals?$top=%d&$select=id,displayName", top)); !slices.Equal(got, names) {
			rt.Fatalf("pages of %d: %q, want %q", top, got, names)
		}
		name := rapid.SampledFrom(names).Draw(rt, "name")
		quoted := strings.ReplaceAll(name, "'", "''")
		if got := all("/servicePrincipals?$filter=" + url.QueryEscape("displayName eq '"+quoted+"'")); !slices.Equal(got, []string{name}) {
			rt.Fatalf("filter by %q found %q", name, got)
		}
		var want []string
		prefix := string([]rune(name)[:rapid.IntRange(1, len([]rune(name))).Draw(rt, "length")])
		for _, n := range names {
			if strings.HasPrefix(strings.ToLower(n), strings.ToLower(prefix)) {
				want = append(want, n)
			}
		}
		got := all("/servicePrincipals?$top=2&$filter=" + url.QueryEscape("startswith(displayName,'"+strings.ReplaceAll(prefix, "'", "''")+"')"))
		if !slices.Equal(got, want) {
			rt.Fatalf("filter by prefix %q found %q, want %q", prefix, got, want)
		}
	})
}

func TestErrorsNameTheRequest(t *testing.T) {
	e := newEnv(t)
	got := e.do(t, "GET", "/applications/"+model.NewUUID(), "").want(t, 404)
	var body struct {
		Inner struct {
			Date string `json:"date"`
			ID   string `json:"request-id"`
			Sent string `json:"client-request-id"`
		} `json:"innerError"`
	}
	must(t, json.Unmarshal(got.Error, &body))
	_, err := time.Parse("2006-01-02T15:04:05", body.Inner.Date)
	if err != nil || body.Inner.ID == "" || body.Inner.ID != got.Header.Get("request-id") || body.Inner.Sent != got.Header.Get("client-request-id") {
		t.Errorf("%s with %v", got.Raw, got.Header)
	}
}
