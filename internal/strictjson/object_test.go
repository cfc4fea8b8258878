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

// FuzzReadObject checks the JSON reader against encoding/json: what it reads
// is the same, and what it alone refuses, it refuses for being ambiguous or deep.
func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` {"a" : [1, -0.5e+7, true, false, null, "\u00e9\n\"", {"b":{}}] } `, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"subject":1,"ſubject":2}`, `{"k":[{"\u212a":1,"K":2}]}`, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":1e}`,
		`{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, "{\"\xff\":1}", `{"a":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}`, `{"a":nul}`, `{,}`, `{"a":[1,]}`, `{"a"}`, "{\"a\":\"\x01\"}",
		"{}\x00", "{\x00}", `{"a":"\`, `{"a":"\x"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadObject(text)
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var want map[string]any
		wantErr := d.Decode(&want)
		if _, more := d.Token(); wantErr == nil && more != io.EOF {
			wantErr = errors.New("more than one value")
		}
		switch {
		case err == nil && wantErr != nil:
			t.Fatalf("ReadObject(%q) = %v, but encoding/json refuses: %v", text, got, wantErr)
		case err == nil && !cmp.Equal(want, got):
			t.Fatalf("ReadObject(%q) (-encoding/json +got):\n%s", text, cmp.Diff(want, got))
		case err != nil && wantErr == nil && want != nil && !ambiguous(text, err):
			t.Fatalf("ReadObject(%q): %v, but encoding/json reads %v", text, err, want)
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
