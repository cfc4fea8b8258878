package admission

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/wi"
)

func withProxy(mode string, native bool) *Config {
	c := config()
	c.Sidecar = Sidecar{Image: "lanyard:1", Native: native, Mode: mode}
	return c
}

const proxyAsked = `"azure.workload.identity/inject-proxy-sidecar":"true"`

func names(t *testing.T, doc, list string) []string {
	t.Helper()
	var all []string
	items, _ := dig(t, doc, "spec", list).([]any)
	for _, n := range items {
		all = append(all, n.(map[string]any)["name"].(string))
	}
	return all
}

func TestSidecarPlaces(t *testing.T) {
	tests := []struct {
		name, mode        string
		native            bool
		inits, containers []string
	}{
		{"native", SidecarRedirect, true, []string{"azwi-proxy-init", "azwi-proxy", "setup"}, []string{"app"}},
		{"older-cluster", "", false, []string{"azwi-proxy-init", "setup"}, []string{"azwi-proxy", "app"}},
		{"native-without-privilege", SidecarEnv, true, []string{"azwi-proxy", "setup"}, []string{"app"}},
		{"older-without-privilege", SidecarEnv, false, []string{"setup"}, []string{"azwi-proxy", "app"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := withProxy(tt.mode, tt.native)
			got, p := mutated(t, c, podOf(proxyAsked, `"initContainers":[{"name":"setup"}],`+oneContainer), account(wi.ClientIDAnnotation, clientID))
			if diff := cmp.Diff(tt.inits, names(t, got, "initContainers")); diff != "" {
				t.Errorf("init containers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.containers, names(t, got, "containers")); diff != "" {
				t.Errorf("containers (-want +got):\n%s", diff)
			}
			app := env(t, got, "containers", len(tt.containers)-1)
			want := standard
			if tt.mode == SidecarEnv {
				want = append(standard[:4:4], "AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:8000",
					"IDENTITY_ENDPOINT=http://127.0.0.1:8000/msi/token", "IDENTITY_HEADER=azwi-proxy")
			}
			if diff := cmp.Diff(want, app); diff != "" {
				t.Errorf("env of app (-want +got):\n%s", diff)
			}
			if len(p.Warnings) != 0 {
				t.Errorf("warnings = %q", p.Warnings)
			}
			if tt.mode == SidecarEnv && !strings.Contains(got, `{"name":"IDENTITY_HEADER","value":"azwi-proxy"}],"resources"`) {
				t.Errorf("the proxy does not know its header: %s", got)
			}
			if _, p := mutated(t, c, got, account(wi.ClientIDAnnotation, clientID)); len(p.Ops) != 0 {
				t.Errorf("second patch = %s", p.JSON())
			}
		})
	}
}

func TestSidecarContainers(t *testing.T) {
	c := withProxy("", true)
	got, _ := mutated(t, c, podOf(proxyAsked+`,"azure.workload.identity/proxy-sidecar-port":"9000"`, oneContainer), account(wi.ClientIDAnnotation, clientID))
	security := `"allowPrivilegeEscalation":false,"privileged":false,"readOnlyRootFilesystem":true,"seccompProfile":{"type":"RuntimeDefault"}`
	resources := `"resources":{"limits":{"cpu":"100m","memory":"64Mi"},"requests":{"cpu":"10m","memory":"20Mi"}}`
	redirect := `{"name":"azwi-proxy-init","image":"lanyard:1","imagePullPolicy":"IfNotPresent","args":["proxy","redirect","--port","9000","--uid=-1"],` + resources +
		`,"securityContext":{` + security + `,"capabilities":{"add":["NET_ADMIN"],"drop":["ALL"]},"runAsNonRoot":false,"runAsUser":0,"runAsGroup":0}}`
	proxy := `{"name":"azwi-proxy","image":"lanyard:1","imagePullPolicy":"IfNotPresent","args":["proxy","--port","9000"],"restartPolicy":"Always",` +
		`"ports":[{"containerPort":9000,"protocol":"TCP"}],"env":[],"volumeMounts":[{"name":"` + volumeName + `","mountPath":"` + wi.Mount + `","readOnly":true}],` + resources +
		`,"startupProbe":{"exec":{"command":["lanyard","proxy","--probe","--port","9000"]},"periodSeconds":1,"failureThreshold":30,"timeoutSeconds":12},` +
		`"securityContext":{` + security + `,"capabilities":{"drop":["ALL"]},"runAsNonRoot":true,"runAsUser":65532,"runAsGroup":65532}}`
	wantEnv(t, got, "initContainers", 1, standard...)
	inits := dig(t, got, "spec", "initContainers").([]any)
	inits[1].(map[string]any)["env"] = []any{}
	if diff := cmp.Diff([]any{parse(t, redirect), parse(t, proxy)}, inits); diff != "" {
		t.Errorf("init containers (-want +got):\n%s", diff)
	}
}

func TestSidecarAsConfigured(t *testing.T) {
	c := withProxy("", false)
	c.Sidecar.RunAsUser, c.Sidecar.PullPolicy = 1501, "Always"
	c.Sidecar.Resources = []byte(`{"limits":{"memory":"1Gi"}}`)
	got, _ := mutated(t, c, podOf(proxyAsked+`,"azure.workload.identity/skip-containers":"azwi-proxy;azwi-proxy-init"`, oneContainer), account(wi.ClientIDAnnotation, clientID))
	proxy := dig(t, got, "spec", "containers", 0).(map[string]any)
	want := parse(t, `{"resources":{"limits":{"memory":"1Gi"}},"imagePullPolicy":"Always","env":null,"volumeMounts":null,"restartPolicy":null,
		"lifecycle":{"postStart":{"exec":{"command":["lanyard","proxy","--probe","--port","8000"]}}}}`).(map[string]any)
	for key, value := range want {
		if diff := cmp.Diff(value, proxy[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if user := proxy["securityContext"].(map[string]any)["runAsUser"]; user != 1501.0 {
		t.Errorf("runAsUser = %v", user)
	}
}

func TestSidecarAsked(t *testing.T) {
	tests := []struct {
		name, notes, spec string
		injected          bool
		refusal, warning  string
	}{
		{"no", `"azure.workload.identity/inject-proxy-sidecar":"False"`, oneContainer, false, "", ""},
		{"not-asked", ``, oneContainer, false, "", ""},
		{"odd", `"azure.workload.identity/inject-proxy-sidecar":"yes"`, oneContainer, true, "", `is "yes": write "true" or "false"`},
		{"host-network", proxyAsked, oneContainer + `,"hostNetwork":true`, false, "hostNetwork is set to true, cannot inject proxy sidecar", ""},
		{"windows", proxyAsked, oneContainer + `,"os":{"name":"windows"}`, false, "runs on Linux only", ""},
		{"windows-node", proxyAsked, oneContainer + `,"nodeSelector":{"kubernetes.io/os":"windows"}`, false, "runs on Linux only", ""},
		{"port-high", proxyAsked + `,"azure.workload.identity/proxy-sidecar-port":"70000"`, oneContainer, false, `is "70000": write a port from 1 to 65535`, ""},
		{"port-zero", proxyAsked + `,"azure.workload.identity/proxy-sidecar-port":"0"`, oneContainer, false, "write a port", ""},
		{"port-word", proxyAsked + `,"azure.workload.identity/proxy-sidecar-port":"http"`, oneContainer, false, "write a port", ""},
		{"there-already", proxyAsked, `"initContainers":[{"name":"azwi-proxy-init"}],"containers":[{"name":"app"},{"name":"azwi-proxy"}]`, false, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := podOf(tt.notes, tt.spec)
			p, err := Mutate(withProxy("", true), []byte(doc), "shop", account(wi.ClientIDAnnotation, clientID))
			if tt.refusal != "" {
				if apierr.KindOf(err) != apierr.Invalid || !strings.Contains(apierr.Detail(err), tt.refusal) {
					t.Fatalf("err = %v, want %q", err, tt.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tt.warning != "" {
				wantWarning(t, p, tt.warning)
			}
			before := len(names(t, doc, "initContainers"))
			if got := len(names(t, string(apply(t, []byte(doc), p)), "initContainers")); (got > before) != tt.injected {
				t.Errorf("init containers: %d before, %d after", before, got)
			}
		})
	}
}

func TestSidecarWithoutAnImage(t *testing.T) {
	_, err := Mutate(config(), []byte(podOf(proxyAsked, oneContainer)), "shop", account())
	if apierr.KindOf(err) != apierr.Invalid || !strings.Contains(apierr.Detail(err), "no image for the proxy sidecar") {
		t.Errorf("err = %v", err)
	}
}

// The redirect has no use for an identity, whoever put it there.
func TestRedirectGetsNoIdentity(t *testing.T) {
	got, _ := mutated(t, config(), podOf("", `"initContainers":[{"name":"azwi-proxy-init"}],`+oneContainer), account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, got, "initContainers", 0)
}

func TestWindowsPodsTrust(t *testing.T) {
	c := config()
	c.Trust = &Trust{ConfigMap: "ca"}
	got, _ := mutated(t, c, podOf("", oneContainer+`,"os":{"name":"windows"}`), account(wi.ClientIDAnnotation, clientID))
	if n := len(env(t, got, "containers", 0)); n != 7 {
		t.Errorf("%d variables, want 7", n)
	}
}
