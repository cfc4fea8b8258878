package vault_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestLimits(t *testing.T) {
	e := newEnv(t)
	tags := func(n, size int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprintf("%02d", i)+strings.Repeat("k", size-2)] = strings.Repeat("v", size)
		}
		return m
	}
	for _, tc := range []struct {
		name   string
		secret string
		body   map[string]any
		want   int
	}{
		{"value-25600", "a", map[string]any{"value": strings.Repeat("v", 25_600)}, 200},
		{"value-25600-escaped", "a", map[string]any{"value": strings.Repeat("\x01", 25_600)}, 200},
		{"value-25601", "a", map[string]any{"value": strings.Repeat("v", 25_601)}, 400},
		{"value-of-two-byte-letters", "a", map[string]any{"value": strings.Repeat("ä", 12_801)}, 400},
		{"body-over-the-limit", "a", map[string]any{"value": strings.Repeat("v", 300_000)}, 413},
		{"name-127", strings.Repeat("n", 127), map[string]any{"value": "v"}, 200},
		{"name-128", strings.Repeat("n", 128), map[string]any{"value": "v"}, 400},
		{"content-type-255", "a", map[string]any{"value": "v", "contentType": strings.Repeat("ä", 255)}, 200},
		{"content-type-256", "a", map[string]any{"value": "v", "contentType": strings.Repeat("c", 256)}, 400},
		{"tags-15", "a", map[string]any{"value": "v", "tags": tags(15, 512)}, 200},
		{"tags-16", "a", map[string]any{"value": "v", "tags": tags(16, 4)}, 400},
		{"tag-513", "a", map[string]any{"value": "v", "tags": tags(1, 513)}, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body, err := json.Marshal(tc.body)
			must(t, err)
			url := kv1 + "/secrets/" + tc.secret
			a := e.do(t, "PUT", url+"?"+api, string(body))
			if a.Status != tc.want {
				t.Fatalf("set = %d %+v, want %d", a.Status, a.Error, tc.want)
			}
			if tc.want != 200 {
				return
			}
			if got := e.do(t, "GET", url+"/?"+api, ""); got.Value != tc.body["value"] {
				t.Errorf("read back %.40q…, want %.40q…", got.Value, tc.body["value"])
			}
		})
	}
}

// Every PUT that was answered with 200 is a version of its own, and the current
// one is among them, however many write at the same time.
func TestConcurrentSets(t *testing.T) {
	e := newEnv(t)
	const writers = 16
	url := kv1 + "/secrets/raced"
	var mu sync.Mutex
	made := map[string]string{}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			value := fmt.Sprintf("value-%d", i)
			a, err := e.try(t.Context(), "PUT", url+"?"+api, `{"value":"`+value+`"}`)
			if err != nil || a.Status != http.StatusOK {
				t.Errorf("set %d: %v %d %+v", i, err, a.Status, a.Error)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			made[a.version()] = value
		})
	}
	wg.Wait()

	if len(made) != writers {
		t.Fatalf("%d versions made, want %d", len(made), writers)
	}
	ids, _ := e.all(t, url+"/versions?"+api)
	if len(ids) != writers {
		t.Errorf("%d versions listed, want %d", len(ids), writers)
	}
	for id, value := range made {
		if got := e.do(t, "GET", url+"/"+id+"?"+api, ""); got.Value != value {
			t.Errorf("version %s = %v, want %q", id, got.Value, value)
		}
	}
	current := e.do(t, "GET", url+"/?"+api, "")
	if made[current.version()] != current.Value {
		t.Errorf("the current version %s = %v, want %q", current.version(), current.Value, made[current.version()])
	}
}

// A secret that is set, updated, deleted, recovered and purged by many at once
// ends as one that works.
func TestConcurrentLife(t *testing.T) {
	e := newEnv(t)
	const name = "busy"
	live, dead := kv1+"/secrets/"+name, kv1+"/deletedsecrets/"+name
	steps := []struct{ method, url, body string }{
		{"PUT", live + "?" + api, `{"value":"v"}`},
		{"PATCH", live + "?" + api, `{"tags":{"a":"b"}}`},
		{"GET", live + "/?" + api, ""},
		{"DELETE", live + "?" + api, ""},
		{"POST", dead + "/recover?" + api, ""},
		{"GET", kv1 + "/secrets?" + api, ""},
		{"DELETE", dead + "?" + api, ""},
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 3 * len(steps) {
				s := steps[(n*(i+1)+i)%len(steps)]
				a, err := e.try(t.Context(), s.method, s.url, s.body)
				if err != nil || a.Status >= 500 || a.Status == 400 {
					t.Errorf("%s %s: %v %d %+v", s.method, s.url, err, a.Status, a.Error)
				}
			}
		})
	}
	wg.Wait()

	e.do(t, "POST", dead+"/recover?"+api, "")
	id := e.set(t, kv1, name, "last")
	if got := e.do(t, "GET", live+"/?"+api, ""); got.Value != "last" || got.version() != id {
		t.Errorf("the end = %v %s, want %q %s", got.Value, got.version(), "last", id)
	}
}
