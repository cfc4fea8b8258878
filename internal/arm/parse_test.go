package arm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/odata"
)

func TestFilters(t *testing.T) {
	tests := []struct {
		in   string
		want []term
	}{
		{"", nil},
		{"resourceType eq 'Microsoft.KeyVault/vaults' and name eq 'KV'", []term{{name: "resourcetype", value: "Microsoft.KeyVault/vaults"}, {name: "name", value: "KV"}}},
		{"atScope()", []term{{name: "atscope", call: true}}},
		{" atScope( ) AND assignedTo('x')", []term{{name: "atscope", call: true}, {name: "assignedto", value: "x", call: true}}},
		{"name eq 'it''s'", []term{{name: "name", value: "it's"}}},
	}
	for _, tt := range tests {
		got, err := parseFilter(tt.in)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(term{})); diff != "" || err != nil {
			t.Errorf("parseFilter(%q): %v (-want +got)\n%s", tt.in, err, diff)
		}
	}
	for _, in := range []string{"x", "x eq", "x eq y", "x eq 'y", "x ne 'y'", "x eq 'y' or z eq 'a'", "f('a'", "x eq 'y' and", "eq 'y'", "x eq 'y'z", strings.Repeat("f() and ", 20) + "f()", strings.Repeat("x", 3000)} {
		if got, err := parseFilter(in); err == nil {
			t.Errorf("parseFilter(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("resourceType eq 'a' and atScope()")
	f.Add("assignedTo('it''s')")
	f.Fuzz(func(t *testing.T, s string) {
		terms, err := parseFilter(s)
		if err != nil {
			return
		}
		again, err := parseFilter(printFilter(terms))
		if diff := cmp.Diff(terms, again, cmp.AllowUnexported(term{})); diff != "" || err != nil {
			t.Errorf("%q read again: %v\n%s", s, err, diff)
		}
	})
}

func printFilter(terms []term) string {
	var parts []string
	for _, t := range terms {
		value := odata.Quote(t.value)
		if t.call {
			parts = append(parts, t.name+"("+value+")")
		} else {
			parts = append(parts, t.name+" eq "+value)
		}
	}
	return strings.Join(parts, " and ")
}

func FuzzSkipToken(f *testing.F) {
	f.Add(skipToken("/subscriptions/x"))
	f.Add("!")
	f.Add("\n") // decodes to nothing
	f.Fuzz(func(t *testing.T, s string) {
		key, err := readToken(s)
		if err != nil || key == "" {
			return
		}
		if again, err := readToken(skipToken(key)); err != nil || again != key {
			t.Errorf("%q: %q, read again %q, %v", s, key, again, err)
		}
	})
}

func FuzzVersion(f *testing.F) {
	f.Add("2024-11-30")
	f.Add("2022-01-31-preview")
	f.Fuzz(func(t *testing.T, s string) {
		if checkVersion(s) == nil && (len(s) < 10 || strings.Trim(s, "0123456789-.abcdefghijklmnopqrstuvwxyz") != "") {
			t.Errorf("checkVersion(%q) = nil", s)
		}
	})
}
