package cluster_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// schema is one of the API server's own description of its objects.
// https://spec.openapis.org/oas/v3.0.3#schema-object
type schema struct {
	Ref        string            `json:"$ref"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	AllOf      []schema          `json:"allOf"`
}

// checkFields checks that every field of a pod's spec that the API server knows
// is in the corpus: a newer Kubernetes makes it longer.
func checkFields(t *testing.T, c *cluster, pods []object) {
	t.Helper()
	var document struct {
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal([]byte(c.kubectl(t, "get", "--raw", "/openapi/v3/api/v1")), &document); err != nil {
		t.Fatal(err)
	}
	f := fields{schemas: document.Components.Schemas, used: map[string]bool{}}
	const spec = "io.k8s.api.core.v1.PodSpec"
	for _, pod := range pods {
		f.use(spec, pod["spec"])
	}
	all := f.all(spec, map[string]bool{})
	for _, field := range all {
		if !f.used[field] {
			t.Errorf("no pod of the corpus has %s", field)
		}
	}
	t.Logf("%d fields are in %d pods", len(all), len(pods))
}

// unusable are fields that the API server describes, and refuses in a new pod,
// or that say nothing of the pod itself.
func unusable(field string) bool {
	kind, name, _ := strings.Cut(field, ".")
	switch kind {
	case "EphemeralContainer":
		return !slices.Contains([]string{"name", "image", "command", "args", "env"}, name) // the rest is Container's, or refused
	case "ObjectMeta": // of a claim's template, where two of them count
		return name != "labels" && name != "annotations"
	}
	return false
}

type fields struct {
	schemas map[string]schema
	used    map[string]bool // Kind.field
}

// kind is the name of the schema that a field has, or that its elements have.
func (s schema) kind() string {
	if s.Items != nil {
		return s.Items.kind()
	}
	for _, part := range s.AllOf {
		return part.kind()
	}
	return s.Ref[strings.LastIndex(s.Ref, "/")+1:]
}

func short(kind, field string) string { return kind[strings.LastIndex(kind, ".")+1:] + "." + field }

func (f fields) use(kind string, v any) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			f.use(kind, element)
		}
	case object:
		for name, field := range f.schemas[kind].Properties {
			if value, there := v[name]; there {
				f.used[short(kind, name)] = true
				f.use(field.kind(), value)
			}
		}
	}
}

// all is every field of a kind, and of the kinds of its fields.
func (f fields) all(kind string, seen map[string]bool) (all []string) {
	if seen[kind] {
		return nil
	}
	seen[kind] = true
	properties := f.schemas[kind].Properties
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if unusable(short(kind, name)) {
			continue
		}
		all = append(all, short(kind, name))
		if next := properties[name].kind(); next != "" {
			all = append(all, f.all(next, seen)...)
		}
	}
	return all
}
