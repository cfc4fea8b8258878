package deploy_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/lanyard-io/lanyard/deploy"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
)

var update = flag.Bool("update", false, "accept what the charts make now")

type object = map[string]any

func parse(t *testing.T, manifests []byte) []object {
	t.Helper()
	var all []object
	for d := yaml.NewDecoder(bytes.NewReader(manifests)); ; {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, manifests)
		}
		if o != nil {
			all = append(all, o)
		}
	}
}

func named(objects []object) map[string]object {
	all := map[string]object{}
	for _, o := range objects {
		all[fmt.Sprintf("%v %v", o["kind"], o["metadata"].(object)["name"])] = o
	}
	return all
}

// template is what a chart makes.
func template(t *testing.T, chart, namespace string, args ...string) []byte {
	t.Helper()
	out, errs, err := helmTemplate(t, chart, append(args, "--namespace", namespace)...)
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, errs)
	}
	return out
}

// refused is what a chart says of values that it does not take.
func refused(t *testing.T, chart string, args ...string) string {
	t.Helper()
	out, errs, err := helmTemplate(t, chart, args...)
	if err == nil {
		t.Errorf("%s takes %v:\n%s", chart, args, out)
	}
	return errs
}

func helmTemplate(t *testing.T, chart string, args ...string) (out []byte, errs string, err error) {
	t.Helper()
	helm := os.Getenv("LANYARD_HELM")
	if helm == "" {
		t.Skip("NOT TESTED: LANYARD_HELM does not name Helm: test/chart/run does")
	}
	cmd := exec.CommandContext(t.Context(), helm, append([]string{"template", "lanyard", "chart/" + chart}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err = cmd.Output()
	return out, said.String(), err
}

const tenant = "11111111-2222-3333-4444-555555555555"

var everything = deploy.WebhookConfig{
	Image: "registry.example/lanyard:1", PullPolicy: "Always", Replicas: 3, TenantID: tenant,
	Authority: "https://login.example.org/", CA: []byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"),
	Audience: "api://Other", Layout: "both", ProxyImage: "registry.example/proxy:1", Strict: true,
	HostAliases:   []deploy.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"login.example.org", "graph.example.org"}}},
	TokenProxy:    &deploy.TokenProxy{Suffix: "identity-binding", Audience: "api://AKSIdentityBinding", URL: "https://proxy.example.org", SNI: "a.ests.aks", CAConfigMap: "kube-root-ca.crt"},
	FailurePolicy: "Ignore", TimeoutSeconds: 7,
}

// everythingValues is the same for the chart.
var everythingValues = []string{
	"--set", "image.repository=registry.example/lanyard,image.release=1,image.pullPolicy=Always,replicaCount=3,azureTenantID=" + tenant,
	"--set", "azureAuthorityHost=https://login.example.org/,audience=api://Other,tokenLayout=both,proxyImage=registry.example/proxy:1,strict=true",
	"--set", "hostAliases[0].ip=10.0.0.1,hostAliases[0].hostnames={login.example.org,graph.example.org}",
	"--set", "customTokenEndpoint.annotationSuffix=identity-binding,customTokenEndpoint.audience=api://AKSIdentityBinding",
	"--set", "customTokenEndpoint.azureKubernetesTokenProxy=https://proxy.example.org,customTokenEndpoint.azureKubernetesSniName=a.ests.aks",
	"--set", "customTokenEndpoint.azureKubernetesCAConfigMapName=kube-root-ca.crt",
	"--set-string", "trust.caBundle=-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
	"--set", "failurePolicy=Ignore,timeoutSeconds=7",
}

func TestChartAndManifestsMakeTheSame(t *testing.T) {
	for name, test := range map[string]struct {
		config deploy.WebhookConfig
		values []string
	}{
		"defaults":   {deploy.WebhookConfig{Image: "localhost/lanyard:dev", TenantID: tenant}, []string{"--set", "azureTenantID=" + tenant}},
		"everything": {everything, everythingValues},
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := deploy.Webhook(test.config)
			if err != nil {
				t.Fatal(err)
			}
			want := named(parse(t, plain))
			delete(want, "Namespace "+deploy.WebhookNamespace) // Helm's, or the operator's
			got := named(parse(t, template(t, "workload-identity-webhook", deploy.WebhookNamespace, test.values...)))
			for _, objects := range []map[string]object{want, got} {
				for _, o := range objects {
					strip(o)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("manifests and chart differ (-manifests +chart):\n%s", diff)
			}
		})
	}
}

// strip takes away what differs by nature: Helm's labels, the digest of the
// configuration, and the order of arguments.
func strip(o any) {
	switch o := o.(type) {
	case object:
		for _, l := range []string{"app", "chart", "release"} {
			if _, ok := o["azure-workload-identity.io/system"]; ok {
				delete(o, l)
			}
		}
		delete(o, "annotations")
		if args, ok := o["args"].([]any); ok {
			slices.SortFunc(args, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		}
		for _, v := range o {
			strip(v)
		}
	case []any:
		for _, v := range o {
			strip(v)
		}
	}
}

// TestGolden shows in review what a change of the charts changes.
func TestGolden(t *testing.T) {
	for name, made := range map[string][]byte{
		"lanyard": template(t, "lanyard", "lanyard"),
		"lanyard-replicas": template(t, "lanyard", "lanyard",
			"--set", "replicaCount=3,keySecret=key,tlsSecret=tls,etcd.secretName=etcd,etcd.endpoints={https://etcd-0:2379,https://etcd-1:2379},serviceMonitor.enabled=true"),
		"webhook": template(t, "workload-identity-webhook", deploy.WebhookNamespace, "--set", "azureTenantID="+tenant),
		"webhook-cert-manager": template(t, "workload-identity-webhook", deploy.WebhookNamespace,
			"--set", "azureTenantID="+tenant+",certManager.enabled=true,serviceMonitor.enabled=true"),
	} {
		path := filepath.Join("testdata", name+".yaml")
		if *update {
			if err := os.WriteFile(path, made, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(made)); diff != "" {
			t.Errorf("%s (-want +got), test/chart/run -update accepts it:\n%s", path, diff)
		}
	}
}

// TestAccepted asks a real API server whether it would take everything.
func TestAccepted(t *testing.T) {
	s := kubetest.Start(t)
	k, err := kube.Connect(kube.Config{Kubeconfig: s.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	namespaces := "apiVersion: v1\nkind: Namespace\nmetadata: {name: lanyard, labels: {pod-security.kubernetes.io/enforce: restricted}}\n---\n" +
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: " + deploy.WebhookNamespace + "}\n"
	if _, err := k.Apply(t.Context(), []byte(namespaces), "test"); err != nil {
		t.Fatal(err)
	}
	plain, err := deploy.Webhook(everything)
	if err != nil {
		t.Fatal(err)
	}
	manifests := map[string][]byte{"webhook": plain}
	golden, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range golden {
		if manifests[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(manifests)) {
		for _, o := range parse(t, manifests[name]) {
			group := o["apiVersion"].(string)
			if strings.Contains(group, "cert-manager.io") || strings.Contains(group, "monitoring.coreos.com") {
				continue // kinds that are not the API server's own
			}
			b, err := yaml.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.DryApply(t.Context(), b, "test"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// What is refused of a pod is refused of a template with a warning only.
	for _, name := range []string{"webhook", "testdata/lanyard.yaml", "testdata/lanyard-replicas.yaml", "testdata/webhook-cert-manager.yaml"} {
		checkPodSecurity(t, k, name, parse(t, manifests[name]))
	}
}

// checkPodSecurity makes a pod of each template, in a namespace with restricted
// pod security, in a dry run.
func checkPodSecurity(t *testing.T, k *kube.Cluster, name string, objects []object) {
	t.Helper()
	for _, o := range objects {
		if o["kind"] != "Deployment" && o["kind"] != "StatefulSet" {
			continue
		}
		spec := o["spec"].(object)["template"].(object)["spec"].(object)
		delete(spec, "serviceAccountName") // of another namespace
		delete(spec, "priorityClassName")  // made by a controller
		volumes, _ := spec["volumes"].([]any)
		if _, ok := o["spec"].(object)["volumeClaimTemplates"]; ok {
			spec["volumes"] = append(volumes, object{"name": "data", "emptyDir": object{}})
		}
		pod, err := yaml.Marshal(object{
			"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "test", "namespace": "lanyard"}, "spec": spec,
		})
		if err != nil {
			t.Fatal(err)
		}
		account := "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: lanyard}\n"
		if _, err := k.Apply(t.Context(), []byte(account), "test"); err != nil {
			t.Fatal(err)
		}
		if _, err := k.DryApply(t.Context(), pod, "test"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWebhookRefuses(t *testing.T) {
	for name, c := range map[string]deploy.WebhookConfig{
		"no-image":       {TenantID: tenant},
		"no-tenant":      {Image: "i"},
		"failure-policy": {Image: "i", TenantID: tenant, FailurePolicy: "Maybe"},
		"timeout":        {Image: "i", TenantID: tenant, TimeoutSeconds: 31},
		"replicas":       {Image: "i", TenantID: tenant, Replicas: -1},
	} {
		if _, err := deploy.Webhook(c); err == nil {
			t.Errorf("%s: rendered", name)
		}
	}
}
