package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/model"
)

// full is a record with something in every field, whatever fields there are.
func full() *Record {
	r := &Record{Time: noon.Add(123456789), Caller: &model.Caller{}, Exchange: &Exchange{}}
	fill(reflect.ValueOf(r).Elem(), "record")
	return r
}

func fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("the " + name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), name)
		fill(v.Index(1), name)
	case reflect.Pointer:
		fill(v.Elem(), name)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), v.Type().Field(i).Name)
		}
	}
}

func TestEncodingAgreesWithTheTypes(t *testing.T) {
	r := full()
	want, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want)+"\n", string(appendRecord(nil, r, r.Time))); diff != "" {
		t.Errorf("line (-encoding/json +ours):\n%s", diff)
	}
}

func checkLine(t interface{ Fatalf(string, ...any) }, line []byte) {
	if bytes.IndexByte(line, '\n') != len(line)-1 || !utf8.Valid(line) {
		t.Fatalf("not one line: %q", line)
	}
	for _, c := range string(line[:len(line)-1]) {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == 0x2028 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 {
			t.Fatalf("%U is not escaped in %q", c, line)
		}
	}
}

func clipped(s string) string {
	head, rest := clip(s)
	return strings.ToValidUTF8(head, "\ufffd") + rest
}

func TestAnyRecordReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.Rune(), 0, 3000, -1),
			rapid.SampledFrom([]string{"\x00\x1b[31m\x9b", "\u009b\u2028\u202e\u2066\x7f", "</script>\"\\", "\U000e0001\U0001f600", "a\nb"}))
		r := &Record{ID: text.Draw(t, "id"), Reason: text.Draw(t, "reason"),
			Caller:   &model.Caller{ObjectID: text.Draw(t, "oid"), Name: text.Draw(t, "name")},
			Exchange: &Exchange{Subject: text.Draw(t, "subject"), Audiences: rapid.SliceOfN(text, 1, maxItems).Draw(t, "audiences")},
		}
		line := appendRecord(nil, r, noon)
		checkLine(t, line)

		var got Record
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		want := *r
		want.Time = noon
		c, x := *r.Caller, *r.Exchange
		want.Caller, want.Exchange, x.Audiences = &c, &x, nil
		for _, a := range r.Exchange.Audiences {
			x.Audiences = append(x.Audiences, clipped(a))
		}
		for _, s := range []*string{&want.ID, &want.Reason, &c.ObjectID, &c.Name, &x.Subject} {
			*s = clipped(*s)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("record (-want +got):\n%s", diff)
		}
	})
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("ü", maxText)
	r := &Record{Reason: long, Exchange: &Exchange{Audiences: make([]string, 5000), Registered: make([]Registered, 5000)}}
	var got Record
	if err := json.Unmarshal(appendRecord(nil, r, noon), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Reason) > maxText || !strings.HasSuffix(got.Reason, "ü…") || len(got.Reason) < maxText-4 {
		t.Errorf("a reason of %d bytes became %d, ending in %q", len(long), len(got.Reason), got.Reason[len(got.Reason)-5:])
	}
	if a, g := len(got.Exchange.Audiences), len(got.Exchange.Registered); a != maxItems || g != maxItems {
		t.Errorf("lists of %d and %d, want %d", a, g, maxItems)
	}
}

func FuzzAppendText(f *testing.F) {
	f.Add("a\x00\"\\\x7f\u0085\u2029\u202e\xff\U000e0001")
	f.Fuzz(func(t *testing.T, s string) {
		b := appendText(nil, s)
		checkLine(t, append(b, '\n'))
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if len(s) <= maxText && utf8.ValidString(s) && got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
