package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// object is a JSON object.
type object = map[string]any

// anyValue draws what a field of tomorrow's API may hold.
func anyValue(t *rapid.T, depth int) any {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.String().Draw(t, "text")
	case 1:
		return json.Number(rapid.SampledFrom([]string{"0", "-1", "1e3", "1.50", "9007199254740993"}).Draw(t, "number"))
	case 2:
		return rapid.Bool().Draw(t, "bool")
	case 3:
		return nil
	case 4:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, anyValue(t, depth-1))
		}
		return list
	}
	return unknown(t, object{}, depth-1)
}

// unknown adds fields that the webhook does not know, some named almost like ones it does.
func unknown(t *rapid.T, o object, depth int) object {
	for range rapid.IntRange(0, 2).Draw(t, "unknown") {
		name := rapid.SampledFrom([]string{"resources", "Env", "CONTAINERS", "x/y", "a~b", "", "restartPolicyRules", "é", `q"`}).Draw(t, "field")
		o[name] = anyValue(t, depth)
	}
	return o
}

// listOf draws a list, or null, or nothing.
func listOf(t *rapid.T, o object, field string, most int, item func(i int) object) {
	switch rapid.IntRange(0, 4).Draw(t, field) {
	case 0:
	case 1:
		o[field] = nil
	default:
		list := []any{}
		for i := range rapid.IntRange(0, most).Draw(t, field+"-length") {
			list = append(list, item(i))
		}
		o[field] = list
	}
}

// drawSources draws sources of a projected volume: a webhook's, and a workload's.
func drawSources(t *rapid.T) []any {
	list := []any{}
	for range rapid.IntRange(0, 2).Draw(t, "sources") {
		list = append(list, exact(t, []byte(rapid.SampledFrom(slices.Concat(ourSources, theirSources)).Draw(t, "source"))))
	}
	return list
}

var (
	ourSources = []string{
		tokenSource(wi.Audience, wi.File), tokenSource(wi.Audience, wi.FileV15),
		`{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca-cert/ca.crt"}],"optional":false}}`,
		`{"downwardAPI":{"items":[{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.annotations['lanyard.io/ca-certificates']"},"path":"trust/ca.crt"}]}}`,
	}
	theirSources = []string{
		tokenSource("https://my.api", wi.File), tokenSource(wi.Audience, "tok"),
		`{"configMap":{"name":"ca","items":[{"key":"ca.crt","path":"ca.crt"}]}}`, `{"configMap":{"name":"all"}}`,
		`{"configMap":{"name":"two","items":[{"key":"a","path":"trust/ca.crt"},{"key":"b","path":"b"}]}}`,
		`{"secret":{"name":"s"}}`, `{"downwardAPI":{"items":[{"fieldRef":{"fieldPath":"metadata.labels"},"path":"trust/ca.crt"}]}}`,
		`{"podCertificate":{"keyType":"ED25519"}}`, `{}`,
		`{"serviceAccountToken":{"audience":"api://AzureADTokenExchange","path":"token/azure-identity-token","futureField":1}}`,
	}
)

func tokenSource(audience, file string) string {
	return fmt.Sprintf(`{"serviceAccountToken":{"audience":%q,"expirationSeconds":3600,"path":%q}}`, audience, file)
}

type podShape struct{ ours bool } // whether volumes and memory may be of earlier mutations

func (s podShape) draw(t *rapid.T) object {
	spec := object{}
	var volumes []string
	listOf(t, spec, "volumes", 3, func(i int) object {
		v := object{"name": fmt.Sprintf("v%d", i)}
		if s.ours {
			v["name"] = rapid.SampledFrom([]string{"tmp", volumeName, volumePrefix + "abc", wi.TokenName}).Draw(t, "volume")
			if slices.Contains(volumes, v["name"].(string)) {
				v["name"] = fmt.Sprintf("v%d", i)
			}
		}
		volumes = append(volumes, v["name"].(string))
		switch rapid.IntRange(0, 2).Draw(t, "source") {
		case 0:
			v["emptyDir"] = unknown(t, object{}, 1)
		case 1:
			v["projected"] = object{"defaultMode": json.Number("420"), "sources": drawSources(t)}
		}
		return unknown(t, v, 2)
	})
	names := append([]string{"tmp"}, volumes...)
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		listOf(t, spec, list, 4, func(i int) object { return s.container(t, fmt.Sprintf("%s-%d", strings.ToLower(list[:4]), i), names) })
	}
	listOf(t, spec, "hostAliases", 2, func(i int) object {
		a := object{"ip": fmt.Sprintf("10.0.0.%d", i+1)}
		listOf(t, a, "hostnames", 0, nil)
		return a
	})
	metadata := unknown(t, object{"name": "web-1"}, 2)
	switch rapid.IntRange(0, 3).Draw(t, "annotations") {
	case 0:
		metadata["annotations"] = nil
	case 1:
		metadata["annotations"] = object{"a": rapid.String().Draw(t, "note"), "lanyard.io/x~y": "1"}
	case 2:
		metadata["annotations"] = object{wi.ProxyAnnotation: "true", wi.SkipAnnotation: "cont-1"}
	}
	pod := unknown(t, object{"kind": "Pod", "metadata": metadata, "spec": unknown(t, spec, 3)}, 2)
	return pod
}

func (s podShape) container(t *rapid.T, name string, volumes []string) object {
	n := object{"name": name}
	listOf(t, n, "env", 5, func(int) object {
		e := object{"name": rapid.SampledFrom([]string{"A", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "SSL_CERT_FILE", wi.ProxyFileEnv, wi.ProxyCAEnv}).Draw(t, "variable")}
		switch rapid.IntRange(0, 3).Draw(t, "value") {
		case 0:
			e["value"] = clientID
		case 1:
			e["value"] = rapid.String().Draw(t, "value")
		case 2:
			e["valueFrom"] = unknown(t, object{}, 1)
		}
		return unknown(t, e, 1)
	})
	paths := rapid.Permutation([]string{"/tmp", "/var/run/secrets/azure/wi", "/var/run/secrets/azure/tokens", "/data",
		"/var/run/secrets/azure/wi/0123abcd", "/var/run/secrets/azure/wi/a/b", "/var/run/secrets/azure/", "/var/run//secrets", "/run/secrets",
		"/lanyard.io", "/var/run/secrets/lanyard.io/x"}).Draw(t, "paths")
	listOf(t, n, "volumeMounts", 3, func(i int) object {
		mt := object{"name": rapid.SampledFrom(volumes).Draw(t, "mount"), "mountPath": paths[i]}
		if rapid.Bool().Draw(t, "read-only") {
			mt["readOnly"] = true
		}
		return unknown(t, mt, 1)
	})
	return unknown(t, n, 3)
}

func drawConfig(t *rapid.T) *Config {
	c := binding()
	c.Layout = rapid.SampledFrom([]string{LayoutV16, LayoutV15, LayoutBoth}).Draw(t, "layout")
	c.Sidecar = Sidecar{Image: "lanyard:1", Native: rapid.Bool().Draw(t, "native"), Mode: rapid.SampledFrom([]string{SidecarRedirect, SidecarEnv}).Draw(t, "mode")}
	if rapid.Bool().Draw(t, "trust") {
		c.Trust = &Trust{PEM: []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----")}
	}
	if rapid.Bool().Draw(t, "aliases") {
		c.HostAliases = []HostAlias{{IP: "10.0.0.1", Hostnames: []string{"login.example"}}, {IP: "10.0.0.9", Hostnames: []string{"vault.example"}}}
	}
	return c
}

func drawAccount(t *rapid.T, label string) Account {
	a := account()
	if id := rapid.SampledFrom([]string{"", clientID, otherID}).Draw(t, label+"-client"); id != "" {
		a.Annotations[wi.ClientIDAnnotation] = id
	}
	if id := rapid.SampledFrom([]string{"", clientID}).Draw(t, label+"-tenant"); id != "" {
		a.Annotations[wi.TenantIDAnnotation] = id
	}
	return a
}

func marshal(t *rapid.T, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func exact(t failer, doc []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return v
}

func mustMutate(t failer, c *Config, doc []byte, a Account) []byte {
	t.Helper()
	p, err := Mutate(c, doc, "shop", a)
	if err != nil {
		t.Fatalf("Mutate(%s): %v", doc, err)
	}
	return apply(t, doc, p)
}

// grew lists where a patched pod may have more than the pod: members of
// objects, and elements at the end of arrays.
var grew = []string{
	"/metadata/annotations", "/metadata/annotations/" + injectedNote, "/metadata/annotations/" + certificatesNote,
	"/spec/volumes", "/spec/hostAliases", "/spec/hostAliases/*/hostnames",
	"/spec/containers/*/env", "/spec/containers/*/volumeMounts", "/spec/initContainers",
	"/spec/initContainers/*/env", "/spec/initContainers/*/volumeMounts", "/spec/containers",
}

// extends checks that after has all that before has, in its order, and more only where allowed.
func extends(path string, before, after any) error {
	allowed := slices.Contains(grew, path)
	switch b := before.(type) {
	case object:
		a, ok := after.(object)
		if !ok {
			return fmt.Errorf("%s is no object any more", path)
		}
		for name, value := range b {
			got, ok := a[name]
			if !ok {
				return fmt.Errorf("%s/%s is gone", path, name)
			}
			if err := extends(path+"/"+name, value, got); err != nil {
				return err
			}
		}
		for name := range a {
			if _, ok := b[name]; !ok && !slices.Contains(grew, path+"/"+name) {
				return fmt.Errorf("%s/%s is new", path, name)
			}
		}
		return nil
	case []any:
		a, ok := after.([]any)
		if !ok || len(a) > len(b) && !allowed {
			return fmt.Errorf("%s changed", path)
		}
		if path == "/spec/containers" || path == "/spec/initContainers" {
			for len(a) > len(b) && strings.HasPrefix(a[0].(object)["name"].(string), proxyName) {
				a = a[1:]
			}
			if len(a) != len(b) {
				return fmt.Errorf("%s has other containers", path)
			}
		}
		if len(a) < len(b) {
			return fmt.Errorf("%s lost elements", path)
		}
		for i := range b {
			if err := extends(path+"/*", b[i], a[i]); err != nil {
				return err
			}
		}
		return nil
	case nil:
		if after == nil || allowed {
			return nil
		}
	}
	if !reflect.DeepEqual(before, after) {
		return fmt.Errorf("%s was %v and is %v", path, before, after)
	}
	return nil
}

// TestNothingElseChanges is the promise to fields that this program has never heard of.
func TestNothingElseChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := marshal(t, podShape{}.draw(t))
		after := mustMutate(t, drawConfig(t), doc, drawAccount(t, "account"))
		if err := extends("", exact(t, doc), exact(t, after)); err != nil {
			t.Fatalf("%v\nbefore %s\nafter  %s", err, doc, after)
		}
	})
}

func TestMutatingTwiceIsMutatingOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := marshal(t, podShape{ours: true}.draw(t))
		c, a := drawConfig(t), drawAccount(t, "account")
		once := mustMutate(t, c, doc, a)
		p, err := Mutate(c, once, "shop", a)
		if err != nil || len(p.Ops) != 0 {
			t.Fatalf("second patch %s, %v\nbefore %s\nafter  %s", p.JSON(), err, doc, once)
		}
	})
}

// values are the last values of each container's variables.
func lastValues(pod any) map[string]any {
	all := map[string]any{}
	spec := pod.(object)["spec"].(object)
	for _, list := range []string{"initContainers", "containers"} {
		items, _ := spec[list].([]any)
		for _, n := range items {
			vars, _ := n.(object)["env"].([]any)
			for _, e := range vars {
				v := e.(object)
				all[fmt.Sprint(n.(object)["name"], "/", v["name"])] = []any{v["value"], v["valueFrom"]}
			}
		}
	}
	return all
}

// TestReinvocation: what came before does not show, once the last service account is in place.
func TestReinvocation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := marshal(t, podShape{}.draw(t))
		c := drawConfig(t)
		first, last := drawAccount(t, "first"), drawAccount(t, "last")
		detour := exact(t, mustMutate(t, c, mustMutate(t, c, doc, first), last))
		direct := exact(t, mustMutate(t, c, doc, last))
		if got, want := lastValues(detour), lastValues(direct); !reflect.DeepEqual(got, want) {
			t.Fatalf("by detour %v\ndirectly  %v", got, want)
		}
	})
}

func FuzzMutate(f *testing.F) {
	f.Add([]byte(smallPod))
	f.Add([]byte(podOf(proxyAsked+","+bindingNote, oneContainer)))
	f.Add([]byte(upstream(wi.TokenName, wi.MountV15, wi.FileV15)))
	f.Add([]byte(`{"spec":{"containers":[{"env":[null],"env":null,"volumeMounts":[null]}],"volumes":[null]},"metadata":null}`))
	f.Add([]byte(`{"metadata":{"annotations":{"lanyard.io/injected":"{\"v\":1,\"env\":{\"A\":\"b\"}}"}},"spec":{"containers":[{"name":"\u0061\\","env":[{"name":"A","value":"b"}]}]}}`))
	c := binding()
	c.Layout, c.Sidecar = LayoutBoth, Sidecar{Image: "lanyard:1", Native: true}
	c.Trust = &Trust{ConfigMap: "ca", JavaConfigMap: "ca"}
	c.HostAliases = []HostAlias{{IP: "10.0.0.1", Hostnames: []string{"login.example"}}}
	a := account(wi.ClientIDAnnotation, clientID)
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := Mutate(c, doc, "shop", a)
		if err != nil || !utf8.Valid(doc) {
			return
		}
		after := apply(t, doc, p)
		if again, err := Mutate(c, after, "shop", a); err != nil || len(again.Ops) != 0 {
			t.Fatalf("second patch %s, %v\nbefore %s\nafter  %s", again.JSON(), err, doc, after)
		}
	})
}

// FuzzScan: a document that is not JSON makes the reader fail or stop, never loop or panic.
func FuzzScan(f *testing.F) {
	for _, doc := range []string{smallPod, `{"spec":{"containers":[{"name":"a\`, `{"a":[`, `{"spec"`, `[`, `"`, `{"a"1}`} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(_ *testing.T, doc []byte) {
		var v review
		_, _ = readPod(doc)
		_ = readReview(doc, &v)
		(&cursor{b: doc}).skip()
	})
}
