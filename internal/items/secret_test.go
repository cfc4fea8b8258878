package items_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
)

func read(t *testing.T, body string) *items.Secret {
	t.Helper()
	in := new(items.Secret)
	if err := json.Unmarshal([]byte(body), in); err != nil {
		t.Fatal(err)
	}
	return in
}

// text is a JSON string of n characters, each of two bytes.
func text(n int) string { return `"` + strings.Repeat("é", n) + `"` }

func tags(n int) string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprint(i)] = ""
	}
	b, _ := json.Marshal(all)
	return string(b)
}

func TestLimits(t *testing.T) {
	for name, tt := range map[string]struct{ body, refusal string }{
		"nothing":              {body: `{}`},
		"nulls":                {body: `{"value":null,"contentType":null,"tags":null,"attributes":null}`},
		"longest-value":        {body: `{"value":` + text(items.MaxValue/2) + `}`},
		"value":                {body: `{"value":` + text(items.MaxValue/2+1) + `}`, refusal: "has 25602 bytes, at most 25600"},
		"longest-content-type": {body: `{"contentType":` + text(255) + `}`},
		"content-type":         {body: `{"contentType":` + text(256) + `}`, refusal: "at most 255 characters"},
		"most-tags":            {body: `{"tags":` + tags(15) + `}`},
		"tags":                 {body: `{"tags":` + tags(16) + `}`, refusal: "too many tags: 16, at most 15"},
		"longest-tag":          {body: `{"tags":{` + text(512) + `:` + text(512) + `}}`},
		"tag-name":             {body: `{"tags":{` + text(513) + `:""}}`, refusal: "at most 512 characters"},
		"tag-value":            {body: `{"tags":{"a":` + text(513) + `}}`, refusal: "at most 512 characters"},
		"tag-without-name":     {body: `{"tags":{"":"a"}}`, refusal: "its name is empty"},
		"first-and-last-time":  {body: `{"attributes":{"nbf":0,"exp":253402300799}}`},
		"before-1970":          {body: `{"attributes":{"nbf":-1}}`, refusal: "seconds since 1970-01-01"},
		"after-9999":           {body: `{"attributes":{"exp":253402300800}}`, refusal: "up to the year 9999"},
	} {
		t.Run(name, func(t *testing.T) {
			err := read(t, tt.body).Check()
			if got := fmt.Sprint(err); (err != nil) != (tt.refusal != "") || !strings.Contains(got, tt.refusal) && err != nil {
				t.Errorf("Check() = %v, want %q", err, tt.refusal)
			}
		})
	}
}

func TestApply(t *testing.T) {
	ten, twenty := int64(10), int64(20)
	before := model.ItemVersion{
		Vault: "v", Name: "n", Version: "1", ContentType: "text", Tags: map[string]string{"a": "b"},
		Disabled: true, NotBefore: &ten, Expires: &twenty, Created: 1, Updated: 1,
	}
	for name, tt := range map[string]struct {
		body    string
		change  func(*model.ItemVersion)
		refused bool
	}{
		"absent-keeps":   {body: `{}`, change: func(*model.ItemVersion) {}},
		"null-keeps":     {body: `{"contentType":null,"tags":null,"attributes":{"enabled":null,"nbf":null,"exp":null}}`, change: func(*model.ItemVersion) {}},
		"empty-clears":   {body: `{"contentType":"","tags":{}}`, change: func(v *model.ItemVersion) { v.ContentType, v.Tags = "", map[string]string{} }},
		"tags-replace":   {body: `{"tags":{"c":"d"}}`, change: func(v *model.ItemVersion) { v.Tags = map[string]string{"c": "d"} }},
		"enabled":        {body: `{"attributes":{"enabled":true}}`, change: func(v *model.ItemVersion) { v.Disabled = false }},
		"same-second":    {body: `{"attributes":{"exp":10}}`, change: func(v *model.ItemVersion) { v.Expires = &ten }},
		"ends-too-early": {body: `{"attributes":{"exp":9}}`, refused: true},
		"begins-late":    {body: `{"attributes":{"nbf":21}}`, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := before
			got.Tags = maps.Clone(before.Tags)
			err := read(t, tt.body).Apply(&got, 7)
			if (err != nil) != tt.refused {
				t.Fatalf("Apply() = %v, refused should be %v", err, tt.refused)
			}
			if tt.refused {
				return
			}
			want := before
			tt.change(&want)
			want.Updated = 7
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewVersion(t *testing.T) {
	r := items.Ref{Kind: model.Secrets, Vault: "v", Name: "n"}
	a, b := r.NewVersion(7), r.NewVersion(7)
	if len(a.Version) != 32 || a.Version == b.Version || a.Created != 7 {
		t.Errorf("versions %+v and %+v, want ids of 32 hexadecimal digits, each its own", a, b)
	}
}
