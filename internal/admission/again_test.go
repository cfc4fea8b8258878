package admission

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// The tests here mutate pods that were mutated before: by this webhook, by
// upstream's, under another name, with another service account.

func TestTwiceChangesNothing(t *testing.T) {
	for _, layout := range []string{LayoutV16, LayoutV15, LayoutBoth} {
		c := config()
		c.Layout = layout
		once, _ := mutated(t, c, smallPod, account(wi.ClientIDAnnotation, clientID))
		if _, p := mutated(t, c, once, account(wi.ClientIDAnnotation, clientID)); len(p.Ops) != 0 {
			t.Errorf("%s: second patch = %s", layout, p.JSON())
		}
		renamed := strings.Replace(once, `"web-1"`, `"web-1-debug"`, 1)
		if _, p := mutated(t, c, renamed, account(wi.ClientIDAnnotation, clientID)); len(p.Ops) != 0 {
			t.Errorf("%s: patch of the copy = %s", layout, p.JSON())
		}
	}
}

func TestDefaultedByTheServer(t *testing.T) {
	once, _ := mutated(t, config(), smallPod, account(wi.ClientIDAnnotation, clientID))
	stored := strings.Replace(once, `"projected":{`, `"projected":{"defaultMode":420,`, 1)
	if _, p := mutated(t, config(), stored, account(wi.ClientIDAnnotation, clientID)); len(p.Ops) != 0 {
		t.Errorf("patch = %s", p.JSON())
	}
}

func TestServiceAccountChanges(t *testing.T) {
	once, _ := mutated(t, config(), podOf("", `"containers":[{"name":"app"},{"name":"own","env":[{"name":"AZURE_CLIENT_ID","value":"`+clientID+`"}]}]`),
		account(wi.ClientIDAnnotation, clientID))

	other := account(wi.ClientIDAnnotation, otherID, wi.TenantIDAnnotation, otherID, wi.ExpirationAnnotation, "7200")
	got, _ := mutated(t, config(), once, other)
	wantEnv(t, got, "containers", 0, "AZURE_CLIENT_ID="+otherID, "AZURE_TENANT_ID="+otherID, standard[2], standard[3])
	wantEnv(t, got, "containers", 1, "AZURE_CLIENT_ID="+clientID, "AZURE_TENANT_ID="+otherID, standard[2], standard[3])
	if s := dig(t, got, "spec", "volumes", 0, "projected", "sources", 0, "serviceAccountToken", "expirationSeconds"); s != 7200.0 {
		t.Errorf("expirationSeconds = %v, want 7200", s)
	}
	if _, p := mutated(t, config(), got, other); len(p.Ops) != 0 {
		t.Errorf("third patch = %s", p.JSON())
	}

	gone, _ := mutated(t, config(), got, account())
	wantEnv(t, gone, "containers", 0, "AZURE_TENANT_ID="+tenantID, standard[2], standard[3])
	wantEnv(t, gone, "containers", 1, "AZURE_CLIENT_ID="+clientID, "AZURE_TENANT_ID="+tenantID, standard[2], standard[3])
	back, _ := mutated(t, config(), gone, account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, back, "containers", 0, standard[1], standard[2], standard[3], standard[0])
}

func TestEditsAfterTheMutationStay(t *testing.T) {
	once, _ := mutated(t, config(), podOf("", oneContainer), account(wi.ClientIDAnnotation, clientID))
	edited := strings.Replace(once, `"AZURE_CLIENT_ID","value":"`+clientID, `"AZURE_CLIENT_ID","value":"edited`, 1)
	got, p := mutated(t, config(), edited, account(wi.ClientIDAnnotation, otherID))
	wantEnv(t, got, "containers", 0, "AZURE_CLIENT_ID=edited", standard[1], standard[2], standard[3])
	wantWarning(t, p, "sets AZURE_CLIENT_ID itself")
}

func TestMemoryThatMakesNoSense(t *testing.T) {
	vars := `"containers":[{"name":"app","env":[{"name":"A","value":""},{"name":"AZURE_CLIENT_ID","value":"old"}]}]`
	for _, note := range []string{`x`, `[]`, `{\"v\":2,\"env\":{\"AZURE_CLIENT_ID\":\"old\"}}`, `{\"v\":1,\"env\":{\"A\":\"\"}}`} {
		got, _ := mutated(t, config(), podOf(`"lanyard.io/injected":"`+note+`"`, vars), account(wi.ClientIDAnnotation, clientID))
		wantEnv(t, got, "containers", 0, "A=", "AZURE_CLIENT_ID=old", standard[1], standard[2], standard[3])
	}
}

// The annotation is the pod author's to write: it must not take out what others,
// such as a policy's webhook, put into the pod.
func TestMemoryOfWhatIsNotOurs(t *testing.T) {
	vars := `"containers":[{"name":"app","env":[{"name":"HTTPS_PROXY","value":"http://policy"},{"name":"AZURE_CLIENT_ID","value":"old"}]}]`
	memory := `"lanyard.io/injected":"{\"v\":1,\"env\":{\"HTTPS_PROXY\":\"http://policy\",\"AZURE_CLIENT_ID\":\"old\"}}"`
	got, _ := mutated(t, config(), podOf(memory, vars), account(wi.ClientIDAnnotation, clientID))
	wantEnv(t, got, "containers", 0, "HTTPS_PROXY=http://policy", standard[0], standard[1], standard[2], standard[3])
}

// upstream is a pod as upstream's webhook leaves it.
func upstream(volume, mount, file string) string {
	return podOf("", fmt.Sprintf(`"containers":[{"name":"app","env":[{"name":"AZURE_CLIENT_ID","value":%[4]q},
		{"name":"AZURE_TENANT_ID","value":%[5]q},{"name":"AZURE_FEDERATED_TOKEN_FILE","value":"%[2]s/%[3]s"},
		{"name":"AZURE_AUTHORITY_HOST","value":"https://login.lanyard.example/"}],
		"volumeMounts":[{"name":"tmp","mountPath":"/tmp"},{"name":%[1]q,"mountPath":%[2]q,"readOnly":true}]},{"name":"late"}],
		"volumes":[{"name":"tmp","emptyDir":{}},{"name":%[1]q,"projected":{"defaultMode":420,"sources":[{"serviceAccountToken":
		{"audience":"api://AzureADTokenExchange","expirationSeconds":3600,"path":%[3]q}}]}}]`, volume, mount, file, clientID, tenantID))
}

func TestPodsOfUpstream(t *testing.T) {
	hashed := volumePrefix + "0123456789abcdef0123456789abcd"
	tests := []struct {
		name, layout, volume, mount, file string
		sources, mounts                   int // of the late container
		warning                           string
	}{
		{"v1.6-as-v1.6", LayoutV16, hashed, wi.Mount, wi.File, 1, 1, ""},
		{"v1.6-as-v1.5", LayoutV15, hashed, wi.Mount, wi.File, 2, 1, "in two layouts"},
		{"v1.6-as-both", LayoutBoth, hashed, wi.Mount, wi.File, 2, 2, ""},
		{"v1.5-as-v1.5", LayoutV15, wi.TokenName, wi.MountV15, wi.FileV15, 1, 1, ""},
		{"v1.5-as-v1.6", LayoutV16, wi.TokenName, wi.MountV15, wi.FileV15, 2, 1, "in two layouts"},
		{"v1.5-as-both", LayoutBoth, wi.TokenName, wi.MountV15, wi.FileV15, 2, 2, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config()
			c.Layout = tt.layout
			got, p := mutated(t, c, upstream(tt.volume, tt.mount, tt.file), account(wi.ClientIDAnnotation, clientID))
			volumes := dig(t, got, "spec", "volumes").([]any)
			if len(volumes) != 2 {
				t.Errorf("volumes = %v, want the same two", volumes)
			}
			if n := len(dig(t, got, "spec", "volumes", 1, "projected", "sources").([]any)); n != tt.sources {
				t.Errorf("%d sources, want %d", n, tt.sources)
			}
			if m := dig(t, got, "spec", "volumes", 1, "projected", "defaultMode"); m != 420.0 {
				t.Errorf("defaultMode = %v", m)
			}
			late := dig(t, got, "spec", "containers", 1, "volumeMounts").([]any)
			if len(late) != tt.mounts || late[0].(map[string]any)["name"] != tt.volume {
				t.Errorf("late mounts = %v", late)
			}
			if vars := env(t, got, "containers", 0); len(vars) != 4 || vars[2] != "AZURE_FEDERATED_TOKEN_FILE="+tt.mount+"/"+tt.file {
				t.Errorf("env = %v", vars)
			}
			uniqueMounts(t, got)
			if tt.warning != "" {
				wantWarning(t, p, tt.warning)
			}
			if _, p := mutated(t, c, got, account(wi.ClientIDAnnotation, clientID)); len(p.Ops) != 0 {
				t.Errorf("second patch = %s", p.JSON())
			}
		})
	}
}

// uniqueMounts checks what the API server demands of mounts.
func uniqueMounts(t *testing.T, doc string) {
	t.Helper()
	volumes := map[any]bool{}
	list, _ := dig(t, doc, "spec", "volumes").([]any)
	for _, v := range list {
		name := v.(map[string]any)["name"]
		if volumes[name] {
			t.Errorf("two volumes are named %v", name)
		}
		volumes[name] = true
	}
	for _, n := range dig(t, doc, "spec", "containers").([]any) {
		paths := map[any]bool{}
		mounts, _ := n.(map[string]any)["volumeMounts"].([]any)
		for _, m := range mounts {
			mt := m.(map[string]any)
			if paths[mt["mountPath"]] {
				t.Errorf("two mounts at %v", mt["mountPath"])
			}
			paths[mt["mountPath"]] = true
			if !volumes[mt["name"]] {
				t.Errorf("no volume %v", mt["name"])
			}
		}
	}
}

func TestMountWithoutItsVolume(t *testing.T) {
	got, _ := mutated(t, config(), podOf("", `"containers":[{"name":"app","volumeMounts":[{"name":"`+volumePrefix+`abc","mountPath":"`+wi.Mount+`/"}]},{"name":"b"}]`),
		account(wi.ClientIDAnnotation, clientID))
	uniqueMounts(t, got)
	if n := len(dig(t, got, "spec", "volumes").([]any)); n != 1 {
		t.Errorf("%d volumes, want 1", n)
	}
}
