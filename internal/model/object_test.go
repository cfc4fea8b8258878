package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// fill sets every exported field of v, so that one that JSON loses is missed.
func fill(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			at := time.Unix(rapid.Int64Range(1, 1<<33).Draw(t, "time"), 0).UTC()
			v.Set(reflect.ValueOf(at))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" { // the object's kind says it
				fill(t, v.Field(i))
			}
		}
	case reflect.Slice:
		n := rapid.IntRange(1, 3).Draw(t, "len")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key)
		fill(t, value)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(rapid.StringN(1, 20, -1).Filter(func(s string) bool { return strings.ToValidUTF8(s, "") == s }).Draw(t, "string"))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64Range(1, 1<<40).Draw(t, "int"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Byte().Draw(t, "byte")))
	default:
		t.Fatalf("a field of kind %s: teach the test about it", v.Kind())
	}
}

// What is stored is what is read again, for every kind and all of its fields.
func TestEncodeDecode(t *testing.T) {
	for kind, empty := range kinds {
		t.Run(string(kind), rapid.MakeCheck(func(t *rapid.T) {
			want := empty()
			fill(t, reflect.ValueOf(want).Elem())
			if want.Kind() != kind {
				t.Fatalf("kind %s is listed as %s", want.Kind(), kind)
			}
			b, err := Encode(want)
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := json.Marshal(envelope{V: Version, Kind: kind, Data: data})
			if err != nil {
				t.Fatal(err)
			}
			if string(b) != string(whole) {
				t.Fatalf("stored %s\nwant   %s", b, whole)
			}
			var spaced bytes.Buffer
			if err := json.Indent(&spaced, b, "", " "); err != nil { // another way to write the same
				t.Fatal(err)
			}
			if got, err := Decode(spaced.Bytes()); err != nil || !cmp.Equal(want, got) {
				t.Fatalf("with spaces: %v, %v", got, err)
			}
			got, err := Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("-stored +read:\n%s", diff)
			}
			if c, ok := want.(interface{ Clone() Object }); ok {
				if diff := cmp.Diff(got, c.Clone()); diff != "" {
					t.Fatalf("-read +cloned:\n%s", diff)
				}
			}
			if got.Key() != want.Key() || !cmp.Equal(got.Index(), want.Index()) {
				t.Fatal("key or index changed")
			}
		}))
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		stored string
		newer  bool
	}{
		"a-newer-version":  {`{"v":2,"kind":"Identity","data":{}}`, true},
		"a-newer-kind":     {`{"v":1,"kind":"Spaceship","data":{}}`, true},
		"no-kind":          {`{"v":1,"data":{}}`, true},
		"no-json":          {`v1`, false},
		"nothing":          {``, false},
		"data-of-a-string": {`{"v":1,"kind":"Identity","data":"x"}`, false},
		"a-wrong-field":    {`{"v":1,"kind":"Identity","data":{"clientId":7}}`, false},
		"no-data":          {`{"v":1,"kind":"Identity"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Decode([]byte(test.stored))
			if err == nil {
				t.Fatalf("it gave %v", o)
			}
			if errors.Is(err, ErrNewer) != test.newer {
				t.Errorf("newer is %v, want %v: %v", !test.newer, test.newer, err)
			}
		})
	}
}

// Fields that a later version adds are no reason to refuse.
func TestDecodeIgnoresUnknownFields(t *testing.T) {
	o, err := Decode([]byte(`{"v":1,"kind":"Identity","data":{"id":"/a","clientId":"c","shoeSize":44}}`))
	if err != nil {
		t.Fatal(err)
	}
	if i := o.(*Identity); i.ID != "/a" || i.ClientID != "c" {
		t.Errorf("got %+v", i)
	}
}

// The stored form of a resource is a promise to every later version.
func TestStoredFormat(t *testing.T) {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	b, err := Encode(&Identity{
		Resource: Resource{ID: "/Sub/X", Name: "x", Location: "local", Tags: map[string]string{"a": "b"}, System: System{CreatedBy: "me", CreatedAt: at, ModifiedAt: at}},
		TenantID: "t", ClientID: "c", PrincipalID: "p",
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"v":1,"kind":"Identity","data":{"id":"/Sub/X","name":"x","location":"local","tags":{"a":"b"},` +
		`"system":{"createdBy":"me","createdAt":"2026-11-01T00:00:00Z","modifiedAt":"2026-11-01T00:00:00Z"},"tenantId":"t","clientId":"c","principalId":"p"}}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func FuzzDecode(f *testing.F) {
	for _, empty := range kinds {
		b, err := Encode(empty())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := Decode(b)
		if err != nil {
			return
		}
		o.Key()
		o.Index()
		again, err := Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(again) {
			t.Fatalf("%s", again)
		}
		if _, err := Decode(again); err != nil {
			t.Fatalf("what was read cannot be read again: %v\n%s", err, again)
		}
	})
}

// A clone shares nothing that its original's owner may change.
func TestClonesAreTheirOwn(t *testing.T) {
	at, when := int64(1), time.Unix(1, 0).UTC()
	s := &Item{ItemKind: Secrets, Name: "s", Deleted: &Deletion{At: when, Purge: when}}
	v := &ItemVersion{ItemKind: Secrets, Name: "s", Tags: map[string]string{"a": "b"}, NotBefore: &at, Expires: &at}
	for _, o := range []interface {
		Object
		Clone() Object
	}{s, v} {
		c := o.Clone()
		before, err := Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		at, v.Tags["a"], s.Deleted.At = at+1, v.Tags["a"]+"c", s.Deleted.At.Add(time.Hour)
		after, err := Encode(c)
		if err != nil || string(before) != string(after) {
			t.Errorf("the clone changed from %s to %s, %v", before, after, err)
		}
	}
	empty := (&ItemVersion{ItemKind: Secrets, Tags: map[string]string{}}).Clone().(*ItemVersion)
	if empty.Tags != nil {
		t.Error("no tags were cloned as an empty map, which is not what is read again")
	}
}
