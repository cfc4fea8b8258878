package admission

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/wi"
)

const (
	clientID  = "11111111-2222-3333-4444-555555555555"
	otherID   = "99999999-2222-3333-4444-555555555555"
	tenantID  = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	authority = "https://login.lanyard.example/"
)

func config() *Config { return &Config{Authority: authority, TenantID: tenantID} }

func account(pairs ...string) Account {
	a := Account{Namespace: "shop", Name: "web", Annotations: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		a.Annotations[pairs[i]] = pairs[i+1]
	}
	return a
}

// apply patches a document as the API server does.
func apply(t failer, doc []byte, p Patch) []byte {
	t.Helper()
	patch, err := jsonpatch.DecodePatch(p.JSON())
	if err != nil {
		t.Fatalf("patch %s: %v", p.JSON(), err)
	}
	out, err := patch.Apply(doc)
	if err != nil {
		t.Fatalf("applying %s to %s: %v", p.JSON(), doc, err)
	}
	return out
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// mutated is the pod after Mutate and its patch.
func mutated(t *testing.T, c *Config, doc string, a Account) (string, Patch) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatalf("the test's configuration: %v", err)
	}
	p, err := Mutate(c, []byte(doc), "shop", a)
	if err != nil {
		t.Fatalf("Mutate(%s): %v", doc, err)
	}
	return string(apply(t, []byte(doc), p)), p
}

func parse(t *testing.T, doc string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return v
}

// dig walks a document by members and indexes.
func dig(t *testing.T, doc string, path ...any) any {
	t.Helper()
	v := parse(t, doc)
	for _, step := range path {
		switch s := step.(type) {
		case string:
			v = v.(map[string]any)[s]
		case int:
			list, _ := v.([]any)
			if s >= len(list) {
				t.Fatalf("%v: no element %d of %v in %s", path, s, v, doc)
			}
			v = list[s]
		}
	}
	return v
}

// env is a container's variables as NAME=value, in order.
func env(t *testing.T, doc, list string, i int) []string {
	t.Helper()
	var all []string
	vars, _ := dig(t, doc, "spec", list, i, "env").([]any)
	for _, v := range vars {
		m := v.(map[string]any)
		all = append(all, fmt.Sprintf("%v=%v", m["name"], m["value"]))
	}
	return all
}

func wantEnv(t *testing.T, doc, list string, i int, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, env(t, doc, list, i)); diff != "" {
		t.Errorf("env of %s[%d] (-want +got):\n%s", list, i, diff)
	}
}

func wantWarning(t *testing.T, p Patch, text string) {
	t.Helper()
	for _, w := range p.Warnings {
		if strings.Contains(w, text) {
			return
		}
	}
	t.Errorf("warnings %q lack %q", p.Warnings, text)
}

var standard = []string{
	"AZURE_CLIENT_ID=" + clientID,
	"AZURE_TENANT_ID=" + tenantID,
	"AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/wi/token/azure-identity-token",
	"AZURE_AUTHORITY_HOST=" + authority,
}

const smallPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","labels":{"azure.workload.identity/use":"true"}},` +
	`"spec":{"serviceAccountName":"web","containers":[{"name":"app","image":"app:1","resources":{"limits":{"cpu":"1000m"}}}]}}`

func TestSmallPod(t *testing.T) {
	got, p := mutated(t, config(), smallPod, account(wi.ClientIDAnnotation, clientID))
	want := strings.Replace(smallPod, `"limits":{"cpu":"1000m"}}}]`, `"limits":{"cpu":"1000m"}},
		"env":[{"name":"AZURE_CLIENT_ID","value":"`+clientID+`"},{"name":"AZURE_TENANT_ID","value":"`+tenantID+`"},
		{"name":"AZURE_FEDERATED_TOKEN_FILE","value":"/var/run/secrets/azure/wi/token/azure-identity-token"},
		{"name":"AZURE_AUTHORITY_HOST","value":"`+authority+`"}],
		"volumeMounts":[{"name":"azure-workload-identity-reserved-token","mountPath":"/var/run/secrets/azure/wi","readOnly":true}]}],
		"volumes":[{"name":"azure-workload-identity-reserved-token","projected":{"sources":[{"serviceAccountToken":
		{"audience":"api://AzureADTokenExchange","expirationSeconds":3600,"path":"token/azure-identity-token"}}]}}]`, 1)
	want = strings.Replace(want, `"labels":`, `"annotations":{"lanyard.io/injected":`+
		`"{\"v\":1,\"env\":{\"AZURE_AUTHORITY_HOST\":\"https://login.lanyard.example/\",\"AZURE_CLIENT_ID\":\"`+clientID+
		`\",\"AZURE_FEDERATED_TOKEN_FILE\":\"/var/run/secrets/azure/wi/token/azure-identity-token\",\"AZURE_TENANT_ID\":\"`+tenantID+`\"}}"},"labels":`, 1)
	if diff := cmp.Diff(parse(t, want), parse(t, got)); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	if len(p.Warnings) != 0 || p.Touched != 1 || p.ClientID != clientID || p.Subject != "system:serviceaccount:shop:web" {
		t.Errorf("patch = %+v", p)
	}
}

// spec makes a pod of the parts of its spec, with annotations.
func podOf(annotations, spec string) string {
	return `{"kind":"Pod","metadata":{"name":"web-1","annotations":{` + annotations + `}},"spec":{` + spec + `}}`
}

const oneContainer = `"containers":[{"name":"app"}]`

func TestLayouts(t *testing.T) {
	v16 := `{"serviceAccountToken":{"audience":"api://AzureADTokenExchange","expirationSeconds":3600,"path":"token/azure-identity-token"}}`
	v15 := `{"serviceAccountToken":{"audience":"api://AzureADTokenExchange","expirationSeconds":3600,"path":"azure-identity-token"}}`
	tests := []struct {
		layout, sources, file string
		mounts                []string
	}{
		{LayoutV16, v16, wi.Mount + "/token/azure-identity-token", []string{wi.Mount}},
		{LayoutV15, v15, wi.MountV15 + "/azure-identity-token", []string{wi.MountV15}},
		{LayoutBoth, v16 + "," + v15, wi.Mount + "/token/azure-identity-token", []string{wi.Mount, wi.MountV15}},
	}
	for _, tt := range tests {
		t.Run(tt.layout, func(t *testing.T) {
			c := config()
			c.Layout = tt.layout
			got, _ := mutated(t, c, podOf("", oneContainer), account(wi.ClientIDAnnotation, clientID))
			if diff := cmp.Diff(parse(t, "["+tt.sources+"]"), dig(t, got, "spec", "volumes", 0, "projected", "sources")); diff != "" {
				t.Errorf("sources (-want +got):\n%s", diff)
			}
			var mounts []string
			for _, m := range dig(t, got, "spec", "containers", 0, "volumeMounts").([]any) {
				mounts = append(mounts, m.(map[string]any)["mountPath"].(string))
			}
			if diff := cmp.Diff(tt.mounts, mounts); diff != "" {
				t.Errorf("mounts (-want +got):\n%s", diff)
			}
			if got := env(t, got, "containers", 0)[2]; got != "AZURE_FEDERATED_TOKEN_FILE="+tt.file {
				t.Errorf("got %s, want %s", got, tt.file)
			}
		})
	}
}

func TestContainersOfAllKinds(t *testing.T) {
	got, p := mutated(t, config(), podOf(`"azure.workload.identity/skip-containers":" proxy ;setup;ghost;"`,
		`"initContainers":[{"name":"setup"},{"name":"load","env":null,"volumeMounts":[]}],
		"containers":[{"name":"app","env":[],"volumeMounts":null},{"name":"proxy"}],"ephemeralContainers":[{"name":"debug"}]`),
		account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, got, "initContainers", 0)
	wantEnv(t, got, "initContainers", 1, standard...)
	wantEnv(t, got, "containers", 0, standard...)
	wantEnv(t, got, "containers", 1)
	wantEnv(t, got, "ephemeralContainers", 0)
	wantWarning(t, p, `names "ghost", which is no container`)
	if len(p.Warnings) != 1 || p.Touched != 2 {
		t.Errorf("patch = %+v", p)
	}
}

func TestWorkloadsKeepTheirVariables(t *testing.T) {
	got, p := mutated(t, config(), podOf("", `"containers":[{"name":"app","env":[{"name":"AZURE_CLIENT_ID","value":"mine"},
		{"name":"AZURE_TENANT_ID","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},{"name":"AZURE_AUTHORITY_HOST"},{"name":"X","value":"1"}]}]`),
		account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, got, "containers", 0, "AZURE_CLIENT_ID=mine", "AZURE_TENANT_ID=<nil>", "AZURE_AUTHORITY_HOST=<nil>", "X=1", standard[2])
	wantWarning(t, p, "container app sets AZURE_CLIENT_ID itself: its value stays")
	wantWarning(t, p, "container app sets AZURE_TENANT_ID itself")
}

func TestIdentity(t *testing.T) {
	long := strings.Repeat("x", 256<<10)
	tests := []struct {
		name    string
		account Account
		pod     string // annotations
		env     []string
		warning string // also the refusal of a strict configuration
		lenient bool   // strict does not refuse
	}{
		{"nothing", account(), "", standard[1:], "service account web has no annotation azure.workload.identity/client-id", true},
		{"on-the-pod", account(), `"azure.workload.identity/client-id":"x"`, standard[1:], "belongs on service account web, not on the pod", true},
		{"tenant", account(wi.ClientIDAnnotation, clientID, wi.TenantIDAnnotation, otherID), "", []string{standard[0], "AZURE_TENANT_ID=" + otherID, standard[2], standard[3]}, "", true},
		{"empty-tenant", account(wi.ClientIDAnnotation, clientID, wi.TenantIDAnnotation, ""), "", standard, "", true},
		{"odd-client", account(wi.ClientIDAnnotation, "not-a-guid"), "", append([]string{"AZURE_CLIENT_ID=not-a-guid"}, standard[1:]...), `is "not-a-guid", not a GUID`, false},
		{"odd-tenant", account(wi.ClientIDAnnotation, clientID, wi.TenantIDAnnotation, "contoso"), "", []string{standard[0], "AZURE_TENANT_ID=contoso", standard[2], standard[3]}, `is "contoso", not a GUID`, false},
		{"huge-client", account(wi.ClientIDAnnotation, long), "", append([]string{"AZURE_CLIENT_ID=" + long}, standard[1:]...), `xxx...", not a GUID`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := podOf(tt.pod, oneContainer)
			got, p := mutated(t, config(), doc, tt.account)
			wantEnv(t, got, "containers", 0, tt.env...)
			if tt.warning != "" {
				wantWarning(t, p, tt.warning)
			}
			strict := config()
			strict.Strict = true
			_, err := Mutate(strict, []byte(doc), "shop", tt.account)
			if refused := err != nil; refused == tt.lenient {
				t.Errorf("strict: err = %v", err)
			}
			if err != nil && !strings.Contains(apierr.Detail(err), tt.warning) {
				t.Errorf("strict: %q lacks %q", apierr.Detail(err), tt.warning)
			}
		})
	}
}

func TestDefaultServiceAccount(t *testing.T) {
	a := account(wi.ClientIDAnnotation, clientID)
	a.Name = "default"
	_, p := mutated(t, config(), smallPod, a)
	wantWarning(t, p, "runs as the default service account")
}

func TestExpiration(t *testing.T) {
	tests := []struct {
		name, pod, account string
		want               float64
		refusal            string
	}{
		{"neither", "", "", 3600, ""},
		{"account", "", "7200", 7200, ""},
		{"pod-first", "86400", "nonsense", 86400, ""},
		{"seconds", "3600s", "", 0, `of the pod is "3600s": write whole seconds from 3600 to 86400, for example "3600"`},
		{"low", "", "3599", 0, `of service account web is "3599"`},
		{"high", "86401", "", 0, "write whole seconds"},
		{"overflow", "99999999999999999999", "", 0, "write whole seconds"},
		{"negative", "-3600", "", 0, "write whole seconds"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := podOf(fmt.Sprintf(`"%s":"%s"`, wi.ExpirationAnnotation, tt.pod), oneContainer)
			a := account(wi.ClientIDAnnotation, clientID, wi.ExpirationAnnotation, tt.account)
			p, err := Mutate(config(), []byte(doc), "shop", a)
			if tt.refusal != "" {
				if apierr.KindOf(err) != apierr.Invalid || !strings.Contains(apierr.Detail(err), tt.refusal) {
					t.Fatalf("err = %v, want %q", err, tt.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := dig(t, string(apply(t, []byte(doc), p)), "spec", "volumes", 0, "projected", "sources", 0, "serviceAccountToken", "expirationSeconds")
			if got != tt.want {
				t.Errorf("expirationSeconds = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestMirrorPodIsLeftAlone(t *testing.T) {
	_, p := mutated(t, config(), podOf(`"kubernetes.io/config.mirror":"x"`, oneContainer), account())
	if len(p.Ops)+len(p.Warnings) != 0 {
		t.Errorf("patch = %+v", p)
	}
}

func TestNotAPod(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200)
	tests := []struct{ name, doc, want string }{
		{"empty", "", "not valid JSON"},
		{"truncated", smallPod[:len(smallPod)-2], "not valid JSON"},
		{"array", "[]", "not a Pod"},
		{"null", "null", "not a Pod"},
		{"other-kind", `{"kind":"Node","spec":{}}`, "a Node, not a Pod"},
		{"no-spec", `{"kind":"Pod"}`, "no spec"},
		{"containers", `{"spec":{"containers":{}}}`, "spec.containers is not an array"},
		{"container", `{"spec":{"containers":["app"]}}`, "a container is not an object"},
		{"null-container", `{"spec":{"containers":[null]}}`, "a container is not an object"},
		{"name", `{"spec":{"containers":[{"name":7}]}}`, "a container's name is not a string"},
		{"annotation", `{"metadata":{"annotations":{"a":{}}},"spec":{}}`, "an annotation is not a string"},
		{"host-network", `{"spec":{"hostNetwork":"yes"}}`, "spec.hostNetwork is not true or false"},
		{"deep", `{"spec":{"x":` + deep + `}}`, "nested deeper than 100 levels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Mutate(config(), []byte(tt.doc), "shop", account())
			if apierr.KindOf(err) != apierr.Invalid || !strings.Contains(apierr.Detail(err), tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestThousandContainers(t *testing.T) {
	var items []string
	for i := range 1000 {
		items = append(items, fmt.Sprintf(`{"name":"c%d"}`, i))
	}
	got, p := mutated(t, config(), podOf("", `"containers":[`+strings.Join(items, ",")+`]`), account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, got, "containers", 999, standard...)
	if p.Touched != 1000 {
		t.Errorf("touched %d containers", p.Touched)
	}
}

func TestDuplicateNames(t *testing.T) {
	got, _ := mutated(t, config(), podOf("", `"volumes":[{"name":"a"},{"name":"a"}],"containers":[{"name":"app"},
		{"name":"app","env":[{"name":"X"},{"name":"X"},{"name":"AZURE_CLIENT_ID","value":"1"},{"name":"AZURE_CLIENT_ID","value":"2"}]}]`),
		account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, got, "containers", 0, standard...)
	wantEnv(t, got, "containers", 1, "X=<nil>", "X=<nil>", "AZURE_CLIENT_ID=1", "AZURE_CLIENT_ID=2", standard[1], standard[2], standard[3])
}

func TestHugeAnnotations(t *testing.T) {
	doc := podOf(`"a":"`+strings.Repeat("x", 256<<10-100)+`"`, oneContainer)
	got, p := mutated(t, config(), doc, account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, got, "containers", 0, standard...)
	wantWarning(t, p, "leave no room for lanyard.io/injected")

	c := config()
	c.Trust = &Trust{PEM: testCA(t)}
	_, err := Mutate(c, []byte(doc), "shop", account())
	if apierr.KindOf(err) != apierr.Invalid || !strings.Contains(apierr.Detail(err), "leave no room for the authority's CA") {
		t.Errorf("err = %v", err)
	}
}
