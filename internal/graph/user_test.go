package graph_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

const newUser = `{"accountEnabled":true,"displayName":"Bob","mailNickname":"bob","userPrincipalName":"bob@lanyard.test","passwordProfile":{"password":"can we fix it"}}`

// makeUser makes one through the front door.
func (e *env) makeUser(t *testing.T) *model.User {
	t.Helper()
	e.do(t, "POST", "/users", newUser).want(t, http.StatusCreated)
	view, err := e.Store.Fresh(t.Context())
	must(t, err)
	return view.Get(model.UserKey("bob@lanyard.test")).Value.(*model.User)
}

// To set a user's password is to be that user: only who may hand out access may.
func TestWhoMayWriteUsers(t *testing.T) {
	e := newEnv(t)
	bob := e.makeUser(t)
	for who, may := range map[string]bool{"alice": true, "useradmin": true, "contributor": false, "reader": false, "subowner": false, "vaults": false, "workload": false, "nobody": false} {
		for _, c := range []struct{ method, path, body string }{
			{"PATCH", "/users/" + bob.ObjectID, `{"passwordProfile":{"password":"another word"}}`},
			{"POST", "/users/" + bob.UPN + "/unlock", ""},
		} {
			if a := e.as(t, who, c.method, c.path, c.body); (a.Status < 300) != may || !may && a.Status != http.StatusForbidden {
				t.Errorf("%s %s as %s: %d %s", c.method, c.path, who, a.Status, a.Raw)
			}
		}
		if may {
			continue
		}
		for _, c := range []struct{ method, path, body string }{{"POST", "/users", newUser}, {"DELETE", "/users/" + bob.UPN, ""}, {"DELETE", "/users/none@x.test", ""}} {
			if a := e.as(t, who, c.method, c.path, c.body); a.Status != http.StatusForbidden {
				t.Errorf("%s %s as %s: %d %s", c.method, c.path, who, a.Status, a.Raw)
			}
		}
	}
}

// A user's roles, sign-ins and counts go with the user; a successor of the same
// name is somebody else.
func TestUserEndsWithAllOfIt(t *testing.T) {
	e := newEnv(t)
	bob := e.makeUser(t)
	role := e.Assign(t, bob.ObjectID, reader, "/")
	left := []model.Object{
		&model.Session{UserID: bob.ObjectID, ID: "a", Expires: time.Now().Add(time.Hour)}, &model.AuthCode{UserID: bob.ObjectID, ID: "b"},
		&model.SignIns{Owner: bob.ObjectID, Failures: 3}, role,
	}
	for _, o := range left[:3] {
		e.Put(t, o)
	}
	e.do(t, "DELETE", "/users/"+bob.UPN, "").want(t, http.StatusNoContent)
	view, err := e.Store.Fresh(t.Context())
	must(t, err)
	for _, o := range left {
		if view.Get(o.Key()) != nil {
			t.Errorf("%s is still there", o.Key())
		}
	}
	if again := e.makeUser(t); again.ObjectID == bob.ObjectID || again.Stamp == bob.Stamp {
		t.Error("the successor has something of the one before")
	}
}

// The password is kept sealed and hashed, and is in no answer and no error.
func TestUserPasswordIsNotKept(t *testing.T) {
	e := newEnv(t)
	const planted = "planted-Gx4-word"
	seen := e.do(t, "POST", "/users", strings.Replace(newUser, "can we fix it", planted, 1)).want(t, http.StatusCreated).Raw
	for _, body := range []string{
		`{"passwordProfile":{"password":"` + planted + "bob" + `"}}`, `{"passwordProfile":{"password":["` + planted + `"]}}`,
		`{"passwordProfile":{"password":"` + planted + `"},"displayName":""}`,
	} {
		seen += e.do(t, "PATCH", "/users/bob@lanyard.test", body).want(t, http.StatusBadRequest).Raw
	}
	view, err := e.Store.Fresh(t.Context())
	must(t, err)
	u := view.Get(model.UserKey("bob@lanyard.test")).Value.(*model.User)
	b, err := json.Marshal(u)
	must(t, err)
	if seen += string(b); strings.Contains(seen, planted) || strings.Contains(string(u.Password), "argon2id") {
		t.Error("the password or its hash is in the open")
	}
}

// A changed password or a disabled account ends the sign-ins; another change does not.
func TestStamp(t *testing.T) {
	e := newEnv(t)
	for body, ends := range map[string]bool{
		`{"displayName":"Rob"}`: false, `{"accountEnabled":true}`: false, `{"accountEnabled":false}`: true, `{"passwordProfile":{"password":"another word"}}`: true,
	} {
		bob := e.makeUser(t)
		e.do(t, "PATCH", "/users/"+bob.UPN, body).want(t, http.StatusNoContent)
		view, err := e.Store.Fresh(t.Context())
		must(t, err)
		if after := view.Get(bob.Key()).Value.(*model.User); (after.Stamp != bob.Stamp) != ends {
			t.Errorf("%s: the sign-ins end: %v, want %v", body, !ends, ends)
		}
		e.do(t, "DELETE", "/users/"+bob.UPN, "").want(t, http.StatusNoContent)
	}
}

// Redirect URIs lead to where nobody else listens.
func TestRedirectURIs(t *testing.T) {
	e := newEnv(t)
	for uri, good := range map[string]bool{
		"https://a.example/cb": true, "http://localhost": true, "http://127.0.0.1:80/x": true, "https://a.example/cb?x=1": true,
		"http://a.example": false, "https://*.example": false, "https://u@a.example": false, "https://a.example/#x": false, "javascript:x": false,
		"//a.example": false, "": false, "https://a.example/a b": false, "http://localhost.a.example": false, "https://a.example;b": false,
	} {
		b, err := json.Marshal(map[string]any{"displayName": "app", "publicClient": map[string]any{"redirectUris": []string{uri}}})
		must(t, err)
		if a := e.do(t, "POST", "/applications", string(b)); (a.Status == http.StatusCreated) != good || !good && a.Status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", uri, a.Status, a.Raw)
		}
	}
}
