package strictjson

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzObject checks the JSON reader against encoding/json: what it reads
// is the same, and what it alone refuses, it refuses for being ambiguous or deep.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` {"a" : [1, -0.5e+7, true, false, null, "\u00e9\n\"", {"b":{}}] } `, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"subject":1,"ſubject":2}`, `{"k":[{"\u212a":1,"K":2}]}`, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":1e}`,
		`{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, "{\"\xff\":1}", `{"a":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}`, `{"a":nul}`, `{,}`, `{"a":[1,]}`, `{"a"}`, "{\"a\":\"\x01\"}",
		"{}\x00", "{\x00}", `{"a":"\`, `{"a":"\x"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Object(text, 16)
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var want map[string]any
		wantErr := d.Decode(&want)
		if _, more := d.Token(); wantErr == nil && more != io.EOF {
			wantErr = errors.New("more than one value")
		}
		switch {
		case err == nil && wantErr != nil:
			t.Fatalf("Object(%q) = %v, but encoding/json refuses: %v", text, got, wantErr)
		case err == nil && !cmp.Equal(want, got):
			t.Fatalf("Object(%q) (-encoding/json +got):\n%s", text, cmp.Diff(want, got))
		case err != nil && wantErr == nil && want != nil && !ambiguous(text, err):
			t.Fatalf("Object(%q): %v, but encoding/json reads %v", text, err, want)
		}
	})
}

// ambiguous says whether the reader is meant to be stricter here.
func ambiguous(text string, err error) bool {
	for _, part := range []string{"is there twice", "nested deeper", "surrogate"} {
		if strings.Contains(err.Error(), part) {
			return true
		}
	}
	return !utf8.ValidString(text)
}

// FuzzCheck holds the two doors against each other: Check takes what Object reads.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"A":2}`, `{"subject":1,"ſubject":2}`, `{"k":{"\u212a":1},"K":2}`, `{"a":1,"a":2}`, `{"\u0061":"\ud800"}`, `[[{"x":"\\"}]]`, `"`, `{"a`, `{"\`, `"\u`,
		`{}}`, `{"a":{"b":[,"b"`, `"\ud83d\ude00"`, `"\udc00\ud800"`, "\"a\xff\"", strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), strings.Repeat("[", MaxDepth+1), "1 2", "-0.5e+7",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := Check([]byte(text))
		_, objectErr := Object(`{"x":`+text+`}`, MaxDepth+1)
		if strings.ContainsAny(text, ",}") && err != nil {
			return // it may end our object, and begin a member
		}
		if (err == nil) != (objectErr == nil) {
			t.Fatalf("Check(%q) = %v, and as a member: %v", text, err, objectErr)
		}
		if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.At < 0 || e.At > len(text)) {
			t.Fatalf("Check(%q) = %#v, want an *Error within the text", text, err)
		}
		if err == nil && !json.Valid([]byte(text)) {
			t.Fatalf("Check(%q) passes what is not JSON", text)
		}
	})
}

func TestCheckCostsNoMemory(t *testing.T) {
	body := []byte(`{"value":"a","contentType":"text/plain","attributes":{"enabled":true,"nbf":1.5e9},"tags":{"a":"b","c":["d",null]}}`)
	if n := testing.AllocsPerRun(100, func() {
		if err := Check(body); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
