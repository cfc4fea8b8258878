package vault_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPageBoundaries(t *testing.T) {
	e := newEnv(t)
	var want []string
	for i := range 51 {
		switch n := len(want); n {
		case 24, 25, 26, 50:
			got, pages := e.all(t, kv1+"/secrets?"+api)
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("%d secrets (-want +got):\n%s", n, d)
			}
			if wantPages := (n + 24) / 25; pages != wantPages {
				t.Errorf("%d secrets came in %d pages, want %d", n, pages, wantPages)
			}
		}
		name := fmt.Sprintf("s%03d", i)
		e.set(t, kv1, name, "v")
		want = append(want, kv1+"/secrets/"+name)
	}

	for _, size := range []int{1, 2, 17, 25} {
		got, pages := e.all(t, fmt.Sprintf("%s/secrets?%s&maxresults=%d", kv1, api, size))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("maxresults=%d (-want +got):\n%s", size, d)
		}
		if want := (len(want) + size - 1) / size; pages != want {
			t.Errorf("maxresults=%d: %d pages, want %d", size, pages, want)
		}
	}
}

func TestNextLinkIsWholeAndOwn(t *testing.T) {
	e := newEnv(t)
	for _, name := range []string{"a", "b", "c"} {
		e.set(t, kv1, name, "v")
		e.set(t, kv2, name, "v")
	}
	a := e.do(t, "GET", kv1+"/secrets?api%2Dversion=7.4&maxresults=2", "")
	u, err := url.Parse(a.NextLink)
	must(t, err)
	q := u.Query()
	if got := u.Scheme + "://" + u.Host + u.Path; got != kv1+"/secrets" || q.Get("api-version") != "7.4" || q.Get("maxresults") != "2" {
		t.Errorf("nextLink = %q", a.NextLink)
	}
	for _, other := range []string{
		strings.Replace(a.NextLink, "kv1", "kv2", 1),
		strings.Replace(a.NextLink, "/secrets?", "/secrets/a/versions?", 1),
		a.NextLink[:len(a.NextLink)-len("&maxresults=2")-1],
	} {
		if got := e.do(t, "GET", other, ""); got.Status != 400 || got.Error.Code != "BadParameter" {
			t.Errorf("GET %s = %d %+v, want 400 BadParameter", other, got.Status, got.Error)
		}
	}
}

// What is added or removed between two pages neither repeats nor hides a secret
// that was there all the time.
func TestPagesStayInOrderUnderChange(t *testing.T) {
	e := newEnv(t)
	for _, name := range []string{"b", "d", "f", "h"} {
		e.set(t, kv1, name, "v")
	}
	first := e.do(t, "GET", kv1+"/secrets?"+api+"&maxresults=2", "")
	e.set(t, kv1, "a", "v")
	e.set(t, kv1, "e", "v")
	e.do(t, "DELETE", kv1+"/secrets/d?"+api, "")
	rest, _ := e.all(t, first.NextLink)

	got := append(first.items(t), rest...)
	want := []string{"b", "d", "e", "f", "h"}
	for i := range want {
		want[i] = kv1 + "/secrets/" + want[i]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
}

func TestListsShowWhatBelongsThere(t *testing.T) {
	e := newEnv(t)
	for i := range 30 {
		name := fmt.Sprintf("s%02d", i)
		e.set(t, kv1, name, "v")
		if i%2 == 0 {
			e.do(t, "DELETE", kv1+"/secrets/"+name+"?"+api, "")
		}
	}
	live, _ := e.all(t, kv1+"/secrets?"+api+"&maxresults=4")
	dead, _ := e.all(t, kv1+"/deletedsecrets?"+api+"&maxresults=4")
	if len(live) != 15 || len(dead) != 15 {
		t.Errorf("%d live and %d deleted, want 15 and 15", len(live), len(dead))
	}
	for _, id := range dead {
		if slices.Contains(live, id) {
			t.Errorf("%s is in both lists", id)
		}
	}
	other, _ := e.all(t, kv2+"/secrets?"+api)
	if len(other) != 0 {
		t.Errorf("another vault lists %q, want none", other)
	}
}

func TestVersionPages(t *testing.T) {
	e := newEnv(t)
	want := map[string]bool{}
	for i := range 27 {
		want[kv1+"/secrets/many/"+e.set(t, kv1, "many", fmt.Sprint(i))] = true
	}
	e.set(t, kv1, "many2", "a name that begins alike")
	got, pages := e.all(t, kv1+"/secrets/many/versions?"+api)
	if pages != 2 || len(got) != len(want) {
		t.Errorf("%d versions in %d pages, want %d in 2", len(got), pages, len(want))
	}
	for _, id := range got {
		if !want[id] {
			t.Errorf("unexpected version %s", id)
		}
	}
}
