package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// The tests here hold the webhook to its bounds: what is not its own stays to
// the byte, and each container has its token all the same.

// raw is what the tests read of a pod, to the byte but for white space. Names are
// told apart by case, as in Kubernetes.
type raw struct {
	volumes           []json.RawMessage
	inits, containers []rawContainer
}

type rawContainer struct {
	name        string
	env, mounts []json.RawMessage
}

func readRaw(t failer, doc []byte) raw {
	var b bytes.Buffer
	if err := json.Compact(&b, doc); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	spec := members(t, members(t, b.Bytes())["spec"])
	containers := func(list string) (all []rawContainer) {
		for _, n := range elements(t, spec[list]) {
			m := members(t, n)
			all = append(all, rawContainer{name: decode[string](t, m["name"]), env: elements(t, m["env"]), mounts: elements(t, m["volumeMounts"])})
		}
		return slices.DeleteFunc(all, func(n rawContainer) bool { return strings.HasPrefix(n.name, proxyName) })
	}
	return raw{elements(t, spec["volumes"]), containers("initContainers"), containers("containers")}
}

func members(t failer, b []byte) map[string]json.RawMessage {
	return decode[map[string]json.RawMessage](t, b)
}

func elements(t failer, b []byte) []json.RawMessage {
	if len(b) == 0 {
		return nil
	}
	return decode[[]json.RawMessage](t, b)
}

type rawMount struct {
	Name, MountPath string
	ReadOnly        bool
}

type rawVolume struct {
	Name      string
	Projected *struct {
		Sources []struct {
			ServiceAccountToken *struct{ Audience, Path string }
		}
	}
}

func decode[T any](t failer, b []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

// isOurs is this test's own judgement of a volume: all sources are a webhook's,
// and it is mounted at a webhook's path, or nowhere.
func isOurs(t failer, pod raw, volume json.RawMessage) bool {
	v := decode[rawVolume](t, volume)
	if v.Projected == nil || !strings.HasPrefix(v.Name, "azure-workload-identity-reserved-") && v.Name != "azure-identity-token" {
		return false
	}
	token := false
	for _, source := range decode[struct{ Projected struct{ Sources []any } }](t, volume).Projected.Sources {
		b, _ := json.Marshal(source)
		is := func(s string) bool { return sameJSON([]byte(s), b) }
		token = token || is(ourSources[0]) || is(ourSources[1])
		if !slices.ContainsFunc(ourSources, is) {
			return false
		}
	}
	mounted := false
	for _, n := range slices.Concat(pod.inits, pod.containers) {
		for _, b := range n.mounts {
			if mt := decode[rawMount](t, b); mt.Name == v.Name {
				mounted = true
				p := path.Clean(mt.MountPath)
				if p == wi.Mount || p == wi.MountV15 || path.Dir(p) == wi.Mount || slices.Contains(elsewhere, p) {
					return token
				}
			}
		}
	}
	return token && !mounted
}

// checkTheirs compares all that is not ours, byte by byte. Mounts and variables
// of the pod come first, in their order; ours follow.
func checkTheirs(t failer, before, after []byte) {
	t.Helper()
	b, a := readRaw(t, before), readRaw(t, after)
	for i, v := range b.volumes {
		if string(a.volumes[i]) != string(v) && !isOurs(t, b, v) {
			t.Fatalf("volume\n%s became\n%s", v, a.volumes[i])
		}
	}
	for _, l := range [][2][]rawContainer{{b.inits, a.inits}, {b.containers, a.containers}} {
		for i, n := range l[0] {
			got := l[1][i]
			same(t, n.name, n.mounts, got.mounts)
			same(t, n.name, n.env, got.env)
			checkMounts(t, a, got, len(n.mounts))
		}
	}
}

func same(t failer, name string, before, after []json.RawMessage) {
	t.Helper()
	for i, b := range before {
		if string(after[i]) != string(b) {
			t.Fatalf("container %s: %s became %s", name, b, after[i])
		}
	}
}

// checkMounts looks at the mounts that a container was given: the runtime can
// make them, and its token is where the variable says.
func checkMounts(t failer, pod raw, n rawContainer, own int) {
	t.Helper()
	var mounts []rawMount
	for _, b := range n.mounts {
		mt := decode[rawMount](t, b)
		mt.MountPath = path.Clean(mt.MountPath)
		mounts = append(mounts, mt)
	}
	for _, mt := range mounts[own:] {
		for i, other := range mounts {
			switch {
			case other == mt:
			case other.MountPath == mt.MountPath, strings.HasPrefix(other.MountPath, mt.MountPath+"/"):
				t.Fatalf("%s: our mount at %s is in the way of %d, %s", n.name, mt.MountPath, i, other.MountPath)
			case strings.HasPrefix(mt.MountPath, other.MountPath+"/") && (other.ReadOnly || !writable(t, pod, other.Name)):
				t.Fatalf("%s: our mount at %s is in a volume that cannot be written, at %s", n.name, mt.MountPath, other.MountPath)
			}
		}
	}
	for _, b := range n.env {
		e := decode[struct{ Name, Value string }](t, b)
		if e.Name != wi.TokenFileEnv {
			continue
		}
		for _, mt := range mounts {
			if file, below := strings.CutPrefix(e.Value, mt.MountPath+"/"); below && hasToken(t, pod, mt.Name, file) {
				return
			}
		}
		t.Fatalf("%s: no volume has %s", n.name, e.Value)
	}
}

// writable tells volumes that a folder can be made in.
func writable(t failer, pod raw, name string) bool {
	return slices.ContainsFunc(pod.volumes, func(b json.RawMessage) bool {
		m := members(t, b)
		return decode[string](t, m["name"]) == name && m["projected"] == nil && m["secret"] == nil && m["persistentVolumeClaim"] == nil
	})
}

func hasToken(t failer, pod raw, name, file string) bool {
	for _, b := range pod.volumes {
		v := decode[rawVolume](t, b)
		if v.Name != name || v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil && s.ServiceAccountToken.Path == file {
				return true
			}
		}
	}
	return false
}

func TestTheirsStaysToTheByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := marshal(t, podShape{ours: true}.draw(t))
		c, a := drawConfig(t), drawAccount(t, "account")
		once := mustMutate(t, c, doc, a)
		checkTheirs(t, doc, once)
		if p, err := Mutate(c, once, "shop", a); err != nil || len(p.Ops) != 0 {
			t.Fatalf("second patch %s, %v", p.JSON(), err)
		}
	})
}

func TestVolumesThatAreNotOurs(t *testing.T) {
	token := func(audience, file string) string { return tokenSource(audience, file) }
	volume := func(name string, sources ...string) string {
		return fmt.Sprintf(`{"name":%q,"projected":{"defaultMode":384,"sources":[%s]}}`, name, strings.Join(sources, ","))
	}
	vaultToken := `{"serviceAccountToken":{"audience":"vault","expirationSeconds":600,"path":"vault-token"}}`
	ca := `{"configMap":{"name":"ca","items":[{"key":"ca.crt","path":"ca.crt"}]}}`
	const other = "azure-workload-identity-reserved-other"
	tests := []struct {
		name, volumes, mounts string
		place                 string // of the token
		volume                string // that it is in
	}{
		{"by-name-elsewhere", volume(wi.TokenName, token("https://my.api", "tok")), `{"name":"azure-identity-token","mountPath":"/etc/tok"}`, wi.Mount, volumeName},
		{"our-token-elsewhere", volume(wi.TokenName, token(wi.Audience, wi.FileV15)), `{"name":"azure-identity-token","mountPath":"/etc/tok"}`, wi.Mount, volumeName},
		{"more-sources", volume(wi.TokenName, token(wi.Audience, wi.File), vaultToken, ca), `{"name":"azure-identity-token","mountPath":"` + wi.Mount + `"}`, elsewhere[0], volumeName},
		{"more-sources-v1.5", volume(wi.TokenName, token(wi.Audience, wi.FileV15), vaultToken, ca), `{"name":"azure-identity-token","mountPath":"` + wi.MountV15 + `"}`, wi.Mount, volumeName},
		{"another-audience", volume(volumeName, token("https://my.api", wi.File)), `{"name":"` + volumeName + `","mountPath":"` + wi.Mount + `"}`, elsewhere[0], volumeName + "-2"},
		{"another-kind", `{"name":"` + volumeName + `","emptyDir":{}}`, `{"name":"` + volumeName + `","mountPath":"/mine"}`, wi.Mount, volumeName + "-2"},
		{"another-name", volume("mine", token(wi.Audience, wi.File)), `{"name":"mine","mountPath":"` + wi.Mount + `/"}`, elsewhere[0], volumeName},
		{"part", volume(other, token(wi.Audience, wi.File)), `{"name":"` + other + `","mountPath":"` + wi.Mount + `","subPath":"token"}`, elsewhere[0], volumeName},
		{"newest", volume(other, token(wi.Audience, wi.File)), `{"name":"` + other + `","mountPath":"` + wi.Mount + `/0123","readOnly":true}`, wi.Mount + "/0123", other},
		{"newest-with-slashes", volume(other, token(wi.Audience, wi.File)), `{"name":"` + other + `","mountPath":"` + wi.Mount + `//0123/"}`, wi.Mount + "/0123", other},
		{"below", `{"name":"cache","emptyDir":{}}`, `{"name":"cache","mountPath":"` + wi.Mount + `/cache/x"}`, elsewhere[0], volumeName},
		{"above-written", `{"name":"run","emptyDir":{}}`, `{"name":"run","mountPath":"/var/run"}`, wi.Mount, volumeName},
		{"above-part-written", `{"name":"run","emptyDir":{}}`, `{"name":"run","mountPath":"/run","subPath":"run"}`, wi.Mount, volumeName},
		{"above-read-only", `{"name":"run","emptyDir":{}}`, `{"name":"run","mountPath":"/var/run/secrets/azure","readOnly":true}`, elsewhere[0], volumeName},
		{"above-claim", `{"name":"run","persistentVolumeClaim":{"claimName":"c","readOnly":true}}`, `{"name":"run","mountPath":"/var/run/secrets/azure"}`, elsewhere[0], volumeName},
		{"above-secret", `{"name":"s","secret":{"secretName":"s"}}`, `{"name":"s","mountPath":"/var/run/secrets"}`, elsewhere[1], volumeName},
		{"above-secret-by-link", `{"name":"s","secret":{"secretName":"s"}}`, `{"name":"s","mountPath":"/run/secrets"}`, elsewhere[1], volumeName},
		{"similar", `{"name":"s","secret":{"secretName":"s"}}`, `{"name":"s","mountPath":"/var/run/secrets/azure/wire"}`, wi.Mount, volumeName},
	}
	c := config()
	c.Trust = &Trust{ConfigMap: "ca"}
	a := account(wi.ClientIDAnnotation, clientID)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := podOf("", `"volumes":[`+tt.volumes+`],"containers":[{"name":"app","volumeMounts":[`+tt.mounts+`]},{"name":"b"}]`)
			got, p := mutated(t, c, doc, a)
			checkTheirs(t, []byte(doc), []byte(got))
			want := []string{standard[0], standard[1], wi.TokenFileEnv + "=" + tt.place + "/" + wi.File, standard[3]}
			for _, name := range c.Trust.env() {
				want = append(want, name+"="+tt.place+"/"+trustFile)
			}
			wantEnv(t, got, "containers", 0, want...)
			wantEnv(t, got, "containers", 1, append(slices.Clone(standard), "SSL_CERT_FILE="+wi.Mount+"/"+trustFile,
				"NODE_EXTRA_CA_CERTS="+wi.Mount+"/"+trustFile, "REQUESTS_CA_BUNDLE="+wi.Mount+"/"+trustFile)...)
			if mt := dig(t, got, "spec", "containers", 1, "volumeMounts", 0, "name"); mt != tt.volume {
				t.Errorf("the other container mounts %v, want %s", mt, tt.volume)
			}
			if moved := slices.Contains(elsewhere, tt.place); moved {
				wantWarning(t, p, "container app mounts a volume of its own at or around "+wi.Mount+": it stays, and the token is at "+tt.place)
			} else if len(p.Warnings) != 0 && tt.name != "more-sources-v1.5" {
				t.Errorf("warnings = %q", p.Warnings)
			}
			if _, p := mutated(t, c, got, a); len(p.Ops) != 0 {
				t.Errorf("second patch = %s", p.JSON())
			}
			changed, _ := mutated(t, c, got, account(wi.ClientIDAnnotation, otherID))
			want[0] = "AZURE_CLIENT_ID=" + otherID
			wantEnv(t, changed, "containers", 0, want...)
		})
	}
}

func TestNoPlaceForTheToken(t *testing.T) {
	got, p := mutated(t, config(), podOf("", `"volumes":[{"name":"s","secret":{"secretName":"s"}}],"containers":[{"name":"app",
		"volumeMounts":[{"name":"s","mountPath":"/var/run/secrets"},{"name":"s","mountPath":"/lanyard.io"}]}]`), account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, got, "containers", 0, standard[0], standard[1], standard[3])
	wantWarning(t, p, "they stay, and it gets no token")
}

// TestTwoOfUpstreamsNewest: a pod whose name was found between two calls has two volumes.
func TestTwoOfUpstreamsNewest(t *testing.T) {
	volume := func(hash string) string {
		return `{"name":"` + volumePrefix + hash + `","projected":{"sources":[` + tokenSource(wi.Audience, wi.File) + `]}}`
	}
	mount := func(hash string) string {
		return `{"name":"` + volumePrefix + hash + `","mountPath":"` + wi.Mount + "/" + hash + `","readOnly":true}`
	}
	doc := podOf("", `"volumes":[`+volume("aa")+`,`+volume("bb")+`],"containers":[{"name":"app","env":[{"name":"AZURE_FEDERATED_TOKEN_FILE",
		"value":"`+wi.Mount+`/aa/token/azure-identity-token"}],"volumeMounts":[`+mount("aa")+`,`+mount("bb")+`]}]`)
	for _, layout := range []string{LayoutV16, LayoutV15, LayoutBoth} {
		c := config()
		c.Layout = layout
		got, _ := mutated(t, c, doc, account(wi.ClientIDAnnotation, clientID))
		checkTheirs(t, []byte(doc), []byte(got))
		if n := len(dig(t, got, "spec", "volumes").([]any)); n != 2 {
			t.Errorf("%s: %d volumes, want the same two", layout, n)
		}
		if vars := env(t, got, "containers", 0); vars[0] != wi.TokenFileEnv+"="+wi.Mount+"/aa/"+wi.File {
			t.Errorf("%s: %q", layout, vars)
		}
	}
}

func TestClientIDOfTheirOwn(t *testing.T) {
	const none = "service account web has no annotation azure.workload.identity/client-id"
	tests := []struct{ name, containers, warning string }{
		{"value", `{"name":"a","env":[{"name":"AZURE_CLIENT_ID","value":"x"}]}`, ""},
		{"value-from", `{"name":"a","env":[{"name":"AZURE_CLIENT_ID","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}`, ""},
		{"env-from", `{"name":"a","envFrom":[{"secretRef":{"name":"s"}}]}`, ""},
		{"env-from-prefix", `{"name":"a","envFrom":[{"prefix":"AZURE_","configMapRef":{"name":"s"}}]}`, ""},
		{"env-from-other-names", `{"name":"a","envFrom":[{"prefix":"DB_","secretRef":{"name":"s"}}]}`, none},
		{"empty", `{"name":"a","env":[{"name":"AZURE_CLIENT_ID","value":""}]}`, none},
		{"null-source", `{"name":"a","env":[{"name":"AZURE_CLIENT_ID","valueFrom":null}]}`, none},
		{"one-of-two", `{"name":"a","env":[{"name":"AZURE_CLIENT_ID","value":"x"}]},{"name":"b"}`, none + ", and container b has no AZURE_CLIENT_ID of its own"},
		{"one-of-three", `{"name":"a","env":[{"name":"AZURE_CLIENT_ID","value":"x"}]},{"name":"b"},{"name":"c"}`, none + ", and container b and 1 more have no AZURE_CLIENT_ID of their own"},
		{"the-other-skipped", `{"name":"a","env":[{"name":"AZURE_CLIENT_ID","value":"x"}]},{"name":"skipped"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, p := mutated(t, config(), podOf(`"azure.workload.identity/skip-containers":"skipped"`, `"containers":[`+tt.containers+`,{"name":"skipped"}]`), account())
			warnings := slices.DeleteFunc(p.Warnings, func(w string) bool { return !strings.Contains(w, wi.ClientIDAnnotation) })
			var want []string
			if tt.warning != "" {
				want = []string{tt.warning}
			}
			if diff := cmp.Diff(want, warnings, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
