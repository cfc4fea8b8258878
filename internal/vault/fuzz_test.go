package vault_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ask sends a request as alice to the edge, without a network.
func (e *env) ask(t *testing.T, method, host, uri, body string) (int, map[string]any) {
	t.Helper()
	req := httptest.NewRequest(method, "/", strings.NewReader(body))
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		t.Skip() // net/http would not let it in either
	}
	req.URL, req.RequestURI, req.Host = u, uri, host
	req.Header.Set("Authorization", "Bearer alice")
	w := httptest.NewRecorder()
	e.edge.ServeHTTP(w, req)
	var v map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatalf("%s %q: the answer is not JSON: %v\n%s", method, uri, err, w.Body)
		}
	}
	if w.Code >= 500 && w.Code != 501 {
		t.Fatalf("%s %q %q = %d %s", method, uri, body, w.Code, w.Body)
	}
	if e, ok := v["error"].(map[string]any); w.Code >= 400 && (!ok || e["code"] == "" || e["message"] == "") {
		t.Fatalf("%s %q = %d %s, want an error with code and message", method, uri, w.Code, w.Body)
	}
	return w.Code, v
}

const host = "kv1.vault.lanyard.test"

// What set accepts, get gives back unchanged, whatever the path and the body.
func FuzzSet(f *testing.F) {
	e := newEnv(f)
	f.Add("PUT", "/secrets/a?"+api, `{"value":"v","tags":{"a":"b"},"attributes":{"enabled":true,"exp":1}}`)
	f.Add("PATCH", "/secrets/a/?"+api, `{"attributes":{"nbf":1.5}}`)
	f.Add("PUT", "/secrets/%2e%2e%2fa?api%2Dversion=7.4", `{"value":"\ud800"}`)
	f.Add("POST", "/secrets/a/0123456789abcdef0123456789abcdef?"+api, `{}`)
	f.Fuzz(func(t *testing.T, method, uri, body string) {
		switch method {
		case "PUT", "PATCH", "POST", "GET":
		default:
			t.Skip()
		}
		code, made := e.ask(t, method, host, uri, body)
		if method != "PUT" || code != 200 {
			return
		}
		id, err := url.Parse(made["id"].(string))
		must(t, err)
		code, got := e.ask(t, "GET", host, id.Path+"?"+api, "")
		if enabled := made["attributes"].(map[string]any)["enabled"]; enabled == false {
			if code != 403 {
				t.Errorf("a disabled secret was read: %d", code)
			}
			return
		}
		if d := cmp.Diff(made, got); d != "" {
			t.Errorf("get differs from set %q %q (-set +get):\n%s", uri, body, d)
		}
	})
}

// No value but a backup of this server is restored.
func FuzzRestore(f *testing.F) {
	e := newEnv(f)
	e.set(f, kv1, "saved", "v")
	backup := e.do(f, "POST", kv1+"/secrets/saved/backup?"+api, "").Value.(string)
	f.Add(backup)
	f.Add("AAAA" + backup[4:])
	f.Add("not base64!")
	f.Fuzz(func(t *testing.T, value string) {
		body, err := json.Marshal(map[string]string{"value": value})
		must(t, err)
		code, _ := e.ask(t, "POST", host, "/secrets/restore?"+api, string(body))
		if want := 400; code != want && !(code == 409 && strings.TrimRight(value, "\r\n") != "") {
			t.Errorf("restore(%q) = %d, want %d", value, code, want)
		}
		if code == 409 && strings.NewReplacer("\r", "", "\n", "").Replace(value) != backup {
			t.Errorf("restore took %q for a backup", value)
		}
	})
}

// A skiptoken gives a page of this vault or 400, nothing else.
func FuzzSkipToken(f *testing.F) {
	e := newEnv(f)
	for _, name := range []string{"a", "b", "c"} {
		e.set(f, kv1, name, "v")
	}
	e.set(f, kv2, "other", "v")
	next, err := url.Parse(e.do(f, "GET", kv1+"/secrets?"+api+"&maxresults=1", "").NextLink)
	must(f, err)
	f.Add(next.Query().Get("$skiptoken"))
	f.Add("L3ZhdWx0cy9rdjIvc2VjcmV0cy9vdGhlcg")
	f.Fuzz(func(t *testing.T, token string) {
		code, page := e.ask(t, "GET", host, "/secrets?"+api+"&%24skiptoken="+url.QueryEscape(token), "")
		if code == 400 {
			return
		}
		for _, v := range page["value"].([]any) {
			if id := v.(map[string]any)["id"].(string); !strings.HasPrefix(id, kv1+"/secrets/") {
				t.Errorf("token %q lists %s", token, id)
			}
		}
	})
}
