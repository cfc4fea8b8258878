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
	r := &Record{Time: noon.Add(123456789), Caller: &model.Caller{}, Exchange: &Exchange{}, Outcome: &Outcome{}}
	fill(reflect.ValueOf(r).Elem(), "record")
	return r
}

func fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("the " + name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"a": "the " + name, "b": "more"}))
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

func clipped(s string) (short string) {
	if err := json.Unmarshal(appendText(nil, s, maxText), &short); err != nil {
		panic(err)
	}
	return short
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
	r := &Record{Granted: true, Reason: long, Exchange: &Exchange{Audiences: make([]string, 5000), Registered: make([]Registered, 5000)}}
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

// A stranger chooses all of these texts, and how they are escaped.
func TestStrangersRecordsAreShort(t *testing.T) {
	for _, long := range []string{
		strings.Repeat("x", 60_000), strings.Repeat("\x00", 60_000), strings.Repeat("\U000e0001", 9000), strings.Repeat("\"\\", 9000), strings.Repeat("ü\xff", 9000),
	} {
		t.Logf("%.20q", long)
		many := make([]string, 100)
		for i := range many {
			many[i] = long
		}
		r := &Record{
			ID: strings.Repeat("i", 36), Correlation: strings.Repeat("c", 64), Remote: strings.Repeat("r", 45),
			Action: "token.issue", Resource: long, Reason: long, Code: "AADSTS700213",
			Exchange: &Exchange{
				ClientID: long, Scope: long, Method: long, Issuer: long, Subject: long, Audiences: many, KeyID: long, Algorithm: long,
				Expires: long, NotBefore: long, Hint: long, Differed: []string{"issuer", "subject", "audience"},
			},
		}
		line := appendRecord(nil, r, noon)
		checkLine(t, line)
		var got Record
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if len(line) > maxStranger || len(got.Exchange.Audiences) != 2 || len(got.Exchange.Differed) != 3 || got.Code != r.Code || got.Exchange.Subject == "" {
			t.Errorf("%d bytes: %s", len(line), line)
		}
		for range 1000 {
			r.Exchange.Registered = append(r.Exchange.Registered, Registered{Name: long, Issuer: long, Subject: long, Expression: long, Audience: long})
		}
		if line := appendRecord(nil, r, noon); len(line) > maxStranger+maxRegistered+256 || json.Unmarshal(line, &got) != nil {
			t.Errorf("%d bytes with what is registered: %s", len(line), line)
		}
	}
}

// What real workloads present is not cut.
func TestUsualRefusalsAreWhole(t *testing.T) {
	r := &Record{
		Time: noon, ID: "6b8f8c3e-9a3a-4a52-9f5e-0c9a6c0f2a11", Correlation: "7b8f8c3e-9a3a-4a52-9f5e-0c9a6c0f2a11", Remote: "2001:db8:1:2:3:4:5:6",
		Action: "token.issue", Resource: "8b8f8c3e-9a3a-4a52-9f5e-0c9a6c0f2a11", Code: "AADSTS700213",
		Reason: "No matching federated identity record found for presented assertion subject.",
		Exchange: &Exchange{
			ClientID: "8b8f8c3e-9a3a-4a52-9f5e-0c9a6c0f2a11", Scope: "https://vault.lanyard.localhost/.default", Method: "federated",
			Issuer:    "https://oidc.eks.eu-central-1.amazonaws.com/id/" + strings.Repeat("A", 32),
			Subject:   "system:serviceaccount:" + strings.Repeat("n", 63) + ":" + strings.Repeat("s", 63),
			Audiences: []string{"api://AzureADTokenExchange"}, KeyID: strings.Repeat("k", 43), Algorithm: "RS256",
			Expires: "2026-11-23T12:00:00Z", NotBefore: "2026-11-23T11:00:00Z", Differed: []string{"subject"}, Hint: "Register the subject that was presented.",
		},
	}
	var got Record
	if err := json.Unmarshal(appendRecord(nil, r, noon), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*r, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestManyChanges(t *testing.T) {
	r := &Record{Granted: true, Outcome: &Outcome{Status: 200}}
	for range 500 {
		r.Changes = append(r.Changes, Change{Object: strings.Repeat("o", 600), Kind: "role", After: map[string]string{"a": strings.Repeat("\x00", 5000)}})
	}
	line := appendRecord(nil, r, noon)
	var got Record
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if last := got.Changes[len(got.Changes)-1]; len(line) > maxChanges+8<<10 || !strings.HasSuffix(last.Object, " more") {
		t.Errorf("%d bytes, the last change is %+v", len(line), last)
	}
}

func FuzzAppendText(f *testing.F) {
	f.Add("a\x00\"\\\x7f\u0085\u2029\u202e\xff\U000e0001")
	f.Fuzz(func(t *testing.T, s string) {
		b := appendText(nil, s, maxText)
		checkLine(t, append(b, '\n'))
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if len(b)-2 > maxText {
			t.Fatalf("%d bytes of %q", len(b)-2, s)
		}
		if 6*len(s) <= maxText && utf8.ValidString(s) && got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
