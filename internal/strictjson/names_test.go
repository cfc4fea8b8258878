package strictjson

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func add(all ...string) bool {
	var s names[string]
	o := s.open()
	for _, n := range all {
		if !s.add(&o, n) {
			return false
		}
	}
	return true
}

func TestAdd(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		one  bool
	}{
		{"issuer", "issuer", true}, {"issuer", "ISSUER", true}, {"subject", "ſubject", true}, {"kind", "\u212aind", true}, {"ſ", "S", true},
		{"K", "\u212a", true}, {"ÄB", "äb", true}, {"σ", "ς", true}, {"ǅ", "ǆ", true}, {"", "", true},
		{"issuer", "issuers", false}, {"issuer", "", false}, {"a", "b", false}, {"@", "`", false}, {"[", "{", false}, {"ss", "ß", false},
		{"i", "İ", false}, {"i", "ı", false}, {"é", "e\u0301", false}, {"a b", "ab", false}, {"a_b", "ab", false},
	} {
		many := []string{}
		for i := range few {
			many = append(many, fmt.Sprint("n", i))
		}
		for _, before := range [][]string{nil, many[:few-1], many} {
			if got := !add(append(append([]string{}, before...), tt.a, tt.b)...); got != tt.one {
				t.Errorf("after %d names, %q and %q are one: %v, want %v", len(before), tt.a, tt.b, got, tt.one)
			}
		}
	}
}

func TestNestedObjects(t *testing.T) {
	for _, before := range []int{0, few - 1, few, 3 * few} { // names that outer objects have had
		var s names[[]byte]
		for i := range before {
			o := s.open()
			s.add(&o, fmt.Append(nil, "n", i))
		}
		outer := s.open()
		got := []bool{s.add(&outer, []byte("a"))}
		inner := s.open()
		got = append(got, s.add(&inner, []byte("A")), s.add(&inner, []byte("a")))
		s.close(&inner)
		inner = s.open()
		got = append(got, s.add(&inner, []byte("a")), s.add(&inner, []byte("b")))
		s.close(&inner)
		got = append(got, s.add(&outer, []byte("A")), s.add(&outer, []byte("b")))
		if want := []bool{true, true, false, true, true, false, true}; !slices.Equal(got, want) {
			t.Errorf("after %d: got %v, want %v", before, got, want)
		}
	}
}

func TestFewNamesCostNoMemory(t *testing.T) {
	claims := strings.Fields("iss sub aud exp nbf iat jti kubernetes.io azp email")
	if n := testing.AllocsPerRun(100, func() {
		var s names[string]
		o := s.open()
		for _, name := range claims {
			s.add(&o, name)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// What encoding/json puts into one field is one name.
func FuzzSame(f *testing.F) {
	for _, s := range []string{"issuer ISSUER", "subject ſubject", "kid \u212aid", "accountEnabled AccountEnabled", "value Value", "a b", "ς Σ", "ﬅ ﬆ", "θ ϴ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, b, ok := strings.Cut(strings.ToValidUTF8(text, ""), " ")
		if !ok || a == "" || b == "" || strings.ContainsAny(text, `"\,`) || len(text) > 64 {
			return
		}
		one := !add(a, b)
		if one != (fold(a) == fold(b)) {
			t.Fatalf("%q and %q are one: %v; folded %q and %q", a, b, one, fold(a), fold(b))
		}
		for _, r := range a { // what a tag of a struct may be
			if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !isWord(r) {
				return
			}
		}
		field := reflect.StructField{Name: "F", Type: reflect.TypeFor[int](), Tag: reflect.StructTag(`json:"` + a + `"`)}
		if a == "-" {
			return
		}
		v := reflect.New(reflect.StructOf([]reflect.StructField{field}))
		doc, err := json.Marshal(map[string]int{b: 1})
		if err != nil || json.Unmarshal(doc, v.Interface()) != nil {
			return
		}
		if filled := v.Elem().Field(0).Int() == 1; filled && !one {
			t.Errorf("encoding/json puts %q into %q, which are two names here", b, a)
		}
	})
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
