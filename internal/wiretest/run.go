package wiretest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxAnswer is the most that an answer may have.
const maxAnswer = 64 << 20

// Run plays each script that the pattern matches, as a subtest, in the order of
// their names. The client decides where a request goes; redirects are answers
// here. vars are the variables that every script starts with.
func Run(t *testing.T, client *http.Client, pattern string, vars map[string]string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts at %q (%v)", pattern, err)
	}
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := parse(string(src))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			v := maps.Clone(vars)
			if v == nil {
				v = map[string]string{}
			}
			for _, x := range script {
				play(t, &c, file, x, v)
			}
		})
	}
}

// play sends one request and compares. After a failure the rest of a script
// means little, so it ends there.
func play(t *testing.T, client *http.Client, file string, x *exchange, vars map[string]string) {
	t.Helper()
	where := fmt.Sprintf("%s:%d: %s", file, x.line, x.title)
	sent := fill(strings.TrimSpace(x.body), vars)
	if slices.Contains(x.header, [2]string{"Content-Encoding", "gzip"}) {
		sent = gzipped(t, sent)
	}
	req, err := http.NewRequestWithContext(t.Context(), x.method, fill(x.url, vars), strings.NewReader(sent))
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	for _, h := range x.header {
		req.Header.Add(h[0], fill(h[1], vars))
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		t.Fatalf("%s: reading the answer: %v", where, err)
	}
	if faults := x.compare(resp, body, vars); len(faults) > 0 {
		t.Fatalf("%s\n%s %s\nanswer: %s %s\n  %s", where, x.method, req.URL, resp.Status, body, strings.Join(faults, "\n  "))
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, text)
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (x *exchange) compare(resp *http.Response, body []byte, vars map[string]string) (faults []string) {
	if got := fmt.Sprint(resp.StatusCode); got != x.status {
		faults = append(faults, "status "+got+", want "+x.status)
	}
	for _, e := range x.expect {
		name, want, _ := strings.Cut(e, ":")
		if absent, ok := strings.CutPrefix(name, "!"); ok {
			if got := resp.Header.Values(absent); len(got) > 0 {
				faults = append(faults, fmt.Sprintf("header %s: %q, want none", absent, got))
			}
			continue
		}
		got := strings.Join(resp.Header.Values(name), ", ")
		if !match(got, "{{*}}"+strings.TrimSpace(want)+"{{*}}", vars) || got == "" {
			faults = append(faults, fmt.Sprintf("header %s: %q, want %q in it", name, got, want))
		}
	}
	if x.empty && len(body) > 0 {
		faults = append(faults, "a body, want none")
	}
	if want := strings.TrimSpace(x.content); want != "" {
		faults = append(faults, compareJSON(body, []byte(want), vars)...)
	}
	return faults
}

func compareJSON(got, want []byte, vars map[string]string) []string {
	w, err := decode(want)
	if err != nil {
		return []string{"the expected body is not JSON: " + err.Error()}
	}
	g, err := decode(got)
	if err != nil {
		return []string{"the body is not JSON: " + err.Error()}
	}
	return contains(g, w, "$", vars)
}

func decode(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return v, d.Decode(&v)
}

// contains lists where got lacks something of want.
func contains(got, want any, at string, vars map[string]string) (faults []string) {
	differ := []string{fmt.Sprintf("%s: %v, want %v", at, got, want)}
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return differ
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			v, there := g[k]
			switch {
			case want[k] == "{{none}}":
				if there {
					faults = append(faults, fmt.Sprintf("%s.%s: %v, want no such member", at, k, v))
				}
			case !there:
				faults = append(faults, fmt.Sprintf("%s.%s: missing, want %v", at, k, want[k]))
			default:
				faults = append(faults, contains(v, want[k], at+"."+k, vars)...)
			}
		}
		return faults
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return differ
		}
		for i := range want {
			faults = append(faults, contains(g[i], want[i], fmt.Sprintf("%s[%d]", at, i), vars)...)
		}
		return faults
	case string:
		if g, ok := got.(string); ok && match(g, want, vars) || want == "{{*}}" {
			return nil
		}
		return differ
	}
	if got != want {
		return differ
	}
	return nil
}

var variable = regexp.MustCompile(`\{\{(\*|[a-z][a-zA-Z0-9_]*)\}\}`)

// fill puts the variables' values in; one that has none stays as it is.
func fill(s string, vars map[string]string) string {
	return variable.ReplaceAllStringFunc(s, func(m string) string {
		if v, ok := vars[m[2:len(m)-2]]; ok {
			return v
		}
		return m
	})
}

// match holds got against a pattern, and sets the variables that had no value.
func match(got, pattern string, vars map[string]string) bool {
	var b strings.Builder
	var set []string
	at := 0
	b.WriteString(`(?s)\A`)
	for _, m := range variable.FindAllStringSubmatchIndex(pattern, -1) {
		b.WriteString(regexp.QuoteMeta(pattern[at:m[0]]))
		at = m[1]
		name := pattern[m[2]:m[3]]
		v, ok := vars[name]
		switch {
		case name == "*":
			b.WriteString(`.*?`)
		case ok:
			b.WriteString(regexp.QuoteMeta(v))
		default:
			set = append(set, name)
			b.WriteString(`([^/"]+)`)
		}
	}
	b.WriteString(regexp.QuoteMeta(pattern[at:]) + `\z`)
	found := regexp.MustCompile(b.String()).FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, name := range set {
		vars[name] = found[i+1]
	}
	return true
}
