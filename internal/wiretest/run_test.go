package wiretest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const script = `
# two exchanges that share a variable
@host example.com
@header X-Who: alice

## a thing is made
> PUT /things/a?x={{x}}
> X-More: 1
{"n": 1}
< 201
< Location: /things/
{"id": "https://example.com/things/{{id}}", "who": "alice", "body": {"n": 1}, "gone": "{{none}}", "any": "{{*}}"}

## and read, by nobody
> GET /things/{{id}}
> -X-Who
< 200
< !Location
{"id": "https://example.com/things/{{id}}", "who": "", "list": [{"a": 1}, 2]}
`

func TestScriptPasses(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPut {
			if r.URL.RawQuery != "x=7" || r.Header.Get("X-More") != "1" {
				t.Errorf("request %s %v", r.URL, r.Header)
			}
			w.Header().Set("Location", "/things/4711")
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"id":"https://example.com/things/4711","who":%q,"body":%s,"any":[],"more":true}`, r.Header.Get("X-Who"), body)
			return
		}
		fmt.Fprintf(w, `{"id":"https://example.com%s","who":%q,"list":[{"a":1,"b":2},2]}`, r.URL.Path, r.Header.Get("X-Who"))
	}))
	defer srv.Close()
	client := srv.Client()
	tr := client.Transport.(*http.Transport)
	tr.Proxy = nil
	file := filepath.Join(t.TempDir(), "things.wire")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	Run(t, client, file, map[string]string{"x": "7"})
}

func TestFaultsAreFound(t *testing.T) {
	const got = `{"a":"x/y","n":1,"list":[1,2],"o":{"p":true}}`
	for name, tc := range map[string]struct {
		want   string
		faults int
	}{
		"subset":          {`{"n":1,"o":{}}`, 0},
		"capture":         {`{"a":"{{v}}/y"}`, 0},
		"capture-differs": {`{"a":"{{set}}/y"}`, 1},
		"number":          {`{"n":2}`, 1},
		"type":            {`{"n":"1"}`, 1},
		"missing":         {`{"z":1,"n":1}`, 1},
		"none":            {`{"o":{"p":"{{none}}"}}`, 1},
		"shorter-array":   {`{"list":[1]}`, 1},
		"two":             {`{"n":2,"a":"y"}`, 2},
		"not-json":        {`{`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			faults := compareJSON([]byte(got), []byte(tc.want), map[string]string{"set": "q"})
			if len(faults) != tc.faults {
				t.Errorf("faults %q, want %d", faults, tc.faults)
			}
		})
	}
}

func TestBadScripts(t *testing.T) {
	for name, src := range map[string]string{
		"no-status":  "> GET /\n",
		"no-url":     "> GET\n< 200\n",
		"stray-text": "hello\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(src); err == nil || !strings.HasPrefix(err.Error(), "line 1: ") {
				t.Errorf("parse(%q) = %v, want an error with the line", src, err)
			}
		})
	}
}
