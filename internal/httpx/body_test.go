package httpx_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

type document struct {
	Value      string `json:"value"`
	Count      int    `json:"count"`
	Properties struct {
		TenantID string            `json:"tenantId"`
		Tags     map[string]string `json:"tags"`
		On       *bool
	} `json:"properties"`
}

func TestReadJSON(t *testing.T) {
	var got document
	body := "\ufeff" + `{"value":"a\"}\\","unknown":[{"a":1},{"a":2}],"properties":{"tenantId":"t","tags":{"k":"v","l":"w"}}} ` + "\n"
	if err := httpx.ReadJSON(post("text/plain", body), &got); err != nil {
		t.Fatal(err)
	}
	want := document{Value: `a"}\`}
	want.Properties.TenantID, want.Properties.Tags = "t", map[string]string{"k": "v", "l": "w"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReadJSONRefuses(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct{ body, want string }{
		{"", "the body is empty; it must be JSON"},
		{" \n", "the body is empty; it must be JSON"},
		{`{"value":`, "the body is not JSON: unexpected end of JSON input at byte 9"},
		{`{"value":x}`, "the body is not JSON: invalid character 'x' looking for beginning of value at byte 10"},
		{`{} {}`, "the body is not JSON: invalid character '{' after top-level value at byte 4"},
		{`{"a":1,"a":2}`, `the body has the member "a" twice, at byte 7`},
		{`{"a":1,"\u0061":2}`, `the body has the member "a" twice, at byte 7`},
		{`{"b":[{"a":{},"a":2}]}`, `the body has the member "a" twice, at byte 14`},
		{`{"value":"a","Value":"b"}`, `the body has the member "Value" twice, at byte 13`},
		{`{"properties":{"subject":1,"ſubject":2}}`, `the body has the member "ſubject" twice, at byte 27`},
		{`{"a":[{"kind":1,"\u212aIND":2}]}`, `the body has the member "KIND" twice, at byte 16`},
		{`{"tags":{"k":"v","K":"w"}}`, `the body has the member "K" twice, at byte 17`},
		{`{"":1,"":2}`, `the body has the member "" twice, at byte 6`},
		{nested(65), "the body nests deeper than 64 levels at byte 64"},
		{"{\"value\":\"a\xff\"}", "the body is not JSON: not UTF-8 at byte 11"},
		{`{"value":"a\ud800"}`, "the body is not JSON: half a surrogate pair at byte 11"},
		{`{"value":"\udc00\ud800"}`, "the body is not JSON: half a surrogate pair at byte 10"},
		{`{"value":1}`, `member "value" must be a string, not a number`},
		{`{"count":"12"}`, `member "count" must be an integer in range, not a string`},
		{`{"count":12345678901234567890}`, `member "count" must be an integer in range, not a number`},
		{`{"properties":{"tenantId":true}}`, `member "properties.tenantId" must be a string, not a boolean`},
		{`{"properties":{"tags":[]}}`, `member "properties.tags" must be an object, not an array`},
		{`{"properties":{"On":0}}`, `member "properties.On" must be a boolean, not a number`},
		{`[]`, "the body must be an object, not an array"},
	} {
		var dst document
		err := httpx.ReadJSON(post("application/json", c.body), &dst)
		if apierr.KindOf(err) != apierr.Invalid || apierr.Detail(err) != c.want {
			t.Errorf("ReadJSON(%q) = %v %q, want %q", c.body, apierr.KindOf(err), apierr.Detail(err), c.want)
		}
	}
	var any any
	if err := httpx.ReadJSON(post("", nested(64)), &any); err != nil {
		t.Errorf("64 levels: %v", err)
	}
	if err := httpx.ReadJSON(post("", `"\ud83d\ude00"`), &any); err != nil || any != "😀" {
		t.Errorf("a surrogate pair: %v %v", any, err)
	}
}

// picky fails with the text that it was given, as time.Time does.
type picky struct{}

func (*picky) UnmarshalText(b []byte) error { return errors.New("bad value " + string(b)) }

func TestReadJSONErrorsDoNotQuoteValues(t *testing.T) {
	var dst struct{ Secret picky }
	err := httpx.ReadJSON(post("", `{"secret":"hunter2"}`), &dst)
	if apierr.KindOf(err) != apierr.Invalid || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("err = %v", err)
	}
}

func TestReadForm(t *testing.T) {
	got, err := httpx.ReadForm(post("application/x-www-form-urlencoded; charset=utf-8", "a=1&b=x%20y+z&c=&d&&e=p=q&f=%3B"))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"a": {"1"}, "b": {"x y z"}, "c": {""}, "d": {""}, "e": {"p=q"}, "f": {";"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, c := range []struct{ contentType, body, want string }{
		{"application/json", "a=1", "the body must be application/x-www-form-urlencoded"},
		{"", "a=1", "the body must be application/x-www-form-urlencoded"},
		{"application/x-www-form-urlencoded", "a=1&a=1", `the body has the parameter "a" twice`},
		{"application/x-www-form-urlencoded", "a=1&%61=1", `the body has the parameter "a" twice`},
		{"application/x-www-form-urlencoded", "a=1;b=2", "the body has a semicolon that is not percent-encoded"},
		{"application/x-www-form-urlencoded", "a=%zz", "the body has a broken percent escape"},
		{"application/x-www-form-urlencoded", "a=%ff", "the body is not UTF-8"},
		{"application/x-www-form-urlencoded", strings.Repeat("a&", 64), "the body has more than 64 parameters"},
	} {
		_, err := httpx.ReadForm(post(c.contentType, c.body))
		if apierr.KindOf(err) != apierr.Invalid || apierr.Detail(err) != c.want {
			t.Errorf("ReadForm(%q) = %v, want %q", c.body, err, c.want)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	w := httptest.NewRecorder()
	if err := httpx.WriteJSON(w, 201, map[string]string{"a": "<&>"}); err != nil {
		t.Fatal(err)
	}
	if w.Code != 201 || w.Body.String() != `{"a":"<&>"}` || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("got %d %q %v", w.Code, w.Body, w.Header())
	}
	w = httptest.NewRecorder()
	if err := httpx.WriteJSON(w, 200, func() {}); err == nil || w.Body.Len() > 0 {
		t.Errorf("a value that is not JSON: err %v, body %q", err, w.Body)
	}
}

func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{`{"a":1,"A":2}`, `{"subject":1,"ſubject":2}`, `{"k":{"\u212a":1},"K":2}`, `{"a":1,"a":2}`, `{"\u0061":"\ud800"}`, `[[{"x":"\\"}]]`, `"`, `{"a`, `{"\`, `"\u`, `{}}`, `{"a":{"b":[,"b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var got, want any
		err := httpx.ReadJSON(post("", body), &got)
		if err != nil {
			if apierr.KindOf(err) != apierr.Invalid {
				t.Errorf("ReadJSON(%q): kind %v", body, apierr.KindOf(err))
			}
			return
		}
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatalf("ReadJSON(%q) accepted it, encoding/json says %v", body, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ReadJSON(%q) (-want +got)\n%s", body, diff)
		}
		if n := members(t, body); n != count(got) {
			t.Errorf("ReadJSON(%q) accepted %d members of %d", body, count(got), n)
		}
	})
}

// members counts the member names in a valid document, duplicates too.
func members(t *testing.T, body string) int {
	dec := json.NewDecoder(strings.NewReader(body))
	type open struct{ object, value bool }
	var stack []open
	n := 0
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
		if d, ok := tok.(json.Delim); ok && (d == '}' || d == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.object && !top.value {
				n++
				top.value = true
				continue
			}
			top.value = false
		}
		if d, ok := tok.(json.Delim); ok {
			stack = append(stack, open{object: d == '{'})
		}
	}
}

func count(v any) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, e := range v {
			n += count(e)
		}
	case []any:
		for _, e := range v {
			n += count(e)
		}
	}
	return n
}

func FuzzReadForm(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "a&a", "%61=1&a=2", "a=%zz", "a=%ff", "&&=&", "a;b=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := httpx.ReadForm(post("application/x-www-form-urlencoded", body))
		if err != nil {
			if apierr.KindOf(err) != apierr.Invalid {
				t.Errorf("ReadForm(%q): kind %v", body, apierr.KindOf(err))
			}
			return
		}
		if strings.Contains(body, ";") {
			return // url.ParseQuery refuses them; the form's specification does not
		}
		want, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("ReadForm(%q) accepted it, net/url says %v", body, err)
		}
		if diff := cmp.Diff(want, form); diff != "" {
			t.Errorf("ReadForm(%q) (-want +got)\n%s", body, diff)
		}
	})
}
