package cluster_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/deploy"
	"github.com/lanyard-io/lanyard/internal/cluster"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/pki"
)

const endpoint = "AAAABBBBCCCCDDDDEEEEFFFFGG"

func installer(t testing.TB, change func(*cluster.InstallerConfig)) *cluster.Installer {
	t.Helper()
	c := cluster.InstallerConfig{
		Server: "https://login.lanyard.test/tenant", Authority: "https://login.lanyard.test/", TenantID: "11111111-1111-4111-8111-111111111111",
		CA: bundle(t), Names: func() []string { return []string{"login.lanyard.test"} },
		Mode: model.WebhookURL, URL: "https://192.0.2.1:7444", Bundle: []byte("-----BEGIN CERTIFICATE-----\n"), Image: "localhost/lanyard:dev",
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	if change != nil {
		change(&c)
	}
	i, err := cluster.NewInstaller(c)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// bundle is a certificate that an API server takes for a CA.
func bundle(t testing.TB) []byte {
	t.Helper()
	ca, err := pki.NewPrivateCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca.PEM()
}

func with(w model.Webhook) *model.Cluster {
	return &model.Cluster{Resource: model.Resource{ID: "/c", Name: "c"}, Webhook: w, WorkloadIdentity: true}
}

func TestPlanFollowsWhatIsInstalled(t *testing.T) {
	ca := bundle(t)
	plan := func(change func(*cluster.InstallerConfig), w model.Webhook) string {
		t.Helper()
		_, digest, err := installer(t, func(c *cluster.InstallerConfig) {
			c.CA = ca
			if change != nil {
				change(c)
			}
		}).Plan(with(w), endpoint)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	alias := model.Webhook{HostAlias: "192.0.2.9", Mode: model.WebhookDeployment}
	was, wasDeployed := plan(nil, model.Webhook{}), plan(nil, alias)
	if was == "" || was != plan(nil, model.Webhook{Mode: model.WebhookURL}) || wasDeployed != plan(nil, alias) {
		t.Error("the same plan has two digests")
	}
	for name, now := range map[string]string{
		"tenant":    plan(func(c *cluster.InstallerConfig) { c.TenantID = "adfs" }, model.Webhook{}),
		"authority": plan(func(c *cluster.InstallerConfig) { c.Authority = "https://login.other.test/" }, model.Webhook{}),
		"bundle":    plan(func(c *cluster.InstallerConfig) { c.Bundle = []byte("another") }, model.Webhook{}),
		"url":       plan(nil, model.Webhook{URL: "https://192.0.2.2:7444"}),
		"mode":      plan(nil, model.Webhook{Mode: model.WebhookDeployment}),
	} {
		if now == was {
			t.Errorf("another %s has the same digest", name)
		}
	}
	for name, now := range map[string]string{
		"CA": plan(func(c *cluster.InstallerConfig) { c.CA = bundle(t) }, alias),
		"vault": plan(func(c *cluster.InstallerConfig) {
			c.Names = func() []string { return []string{"v.vault.lanyard.test"} }
		}, alias),
		"image": plan(nil, model.Webhook{Mode: model.WebhookDeployment, HostAlias: alias.HostAlias, Image: "localhost/other"}),
	} {
		if now == wasDeployed {
			t.Errorf("another %s has the same digest", name)
		}
	}
	if mode, digest, err := installer(t, nil).Plan(with(model.Webhook{Mode: model.WebhookNone}), endpoint); mode != model.WebhookNone || digest != "" || err != nil {
		t.Errorf("mode none: %q %q %v", mode, digest, err)
	}
}

func TestPlanSaysWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*cluster.InstallerConfig)
		w      model.Webhook
		want   string
	}{
		"no-listener":    {func(c *cluster.InstallerConfig) { c.Bundle = nil }, model.Webhook{}, "start it with --webhook "},
		"no-url":         {func(c *cluster.InstallerConfig) { c.URL = "" }, model.Webhook{}, "--webhook-url"},
		"no-image":       {func(c *cluster.InstallerConfig) { c.Image = "" }, model.Webhook{Mode: model.WebhookDeployment}, "--webhook-image"},
		"no-image-at-up": {func(c *cluster.InstallerConfig) { c.Image, c.Mode = "", model.WebhookDeployment }, model.Webhook{}, "--webhook-image"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := installer(t, c.change).Plan(with(c.w), endpoint)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want a word of %s", err, c.want)
			}
		})
	}
}

// documented are the manifests of docs/OPERATE.md's section on rights.
func documented(t testing.TB) (manifests []string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/OPERATE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "### Rights of the kubeconfig")
	section, _, _ = strings.Cut(section, "\n## ")
	for part := range strings.SplitSeq(section, "```yaml\n") {
		if manifest, _, ok := strings.Cut(part, "```"); ok {
			manifests = append(manifests, manifest)
		}
	}
	if len(manifests) != 2 {
		t.Fatalf("docs/OPERATE.md has %d blocks of rights, want 2", len(manifests))
	}
	return manifests
}

// apply applies YAML, which may begin with a brace.
func apply(t testing.TB, k *kube.Cluster, manifest string) {
	t.Helper()
	if _, err := k.Apply(t.Context(), []byte("# YAML\n"+manifest), "test"); err != nil {
		t.Fatal(err)
	}
}

// holder is a service account's kubeconfig that has the documented rights.
func holder(t testing.TB, s *kubetest.Server, admin *kube.Cluster, name string, manifests ...string) []byte {
	t.Helper()
	apply := func(manifest string) { t.Helper(); apply(t, admin, manifest) }
	apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: " + name + ", namespace: default}}")
	bind := func(kind, namespace, role string) {
		m := "{apiVersion: rbac.authorization.k8s.io/v1, kind: " + strings.TrimSuffix(kind, "Role") + "RoleBinding, metadata: {name: " + name + "-" + role
		if namespace != "" {
			m += ", namespace: " + namespace
		}
		apply(m + "}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: " + kind + ", name: " + role + "}, subjects: [{kind: ServiceAccount, name: " + name + ", namespace: default}]}")
	}
	bind("ClusterRole", "", "lanyard")
	bind("Role", "default", "lanyard")
	apply(manifests[0])
	if len(manifests) > 1 {
		apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + deploy.WebhookNamespace + "}}")
		apply(manifests[1])
		bind("ClusterRole", "", "lanyard-deployment")
		bind("Role", deploy.WebhookNamespace, "lanyard-deployment")
	}
	token, err := admin.CreateToken(t.Context(), kube.TokenRequest{Namespace: "default", Account: name, Seconds: 3600})
	if err != nil {
		t.Fatal(err)
	}
	return s.KubeconfigWithToken(t, token.Token)
}

// The documented rights suffice, in each mode. No controller runs here, so that
// a deployment never answers; all of it is there then, and goes again.
func TestDocumentedRightsSuffice(t *testing.T) {
	s := kubetest.Start(t)
	admin, err := kube.Connect(kube.Config{Kubeconfig: s.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	apply(t, admin, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: default}}")
	rights := documented(t)
	configuration := kube.Ref{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration", Name: deploy.WebhookConfiguration}
	deployment := kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: deploy.WebhookNamespace, Name: deploy.WebhookDeployment}
	there := func(ref kube.Ref) bool {
		t.Helper()
		_, err := admin.Get(t.Context(), ref)
		if err != nil && !errors.Is(err, kube.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	for _, test := range []struct {
		mode   model.WebhookMode
		rights []string
		has    []kube.Ref
	}{
		{model.WebhookURL, rights[:1], []kube.Ref{configuration}},
		{model.WebhookDeployment, rights, []kube.Ref{configuration, deployment}},
	} {
		t.Run(string(test.mode), func(t *testing.T) {
			kubeconfig := holder(t, s, admin, "lanyard-"+string(test.mode), test.rights...)
			i := installer(t, func(c *cluster.InstallerConfig) { c.URL, c.Bundle = "https://127.0.0.1:1", bundle(t) })
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, err := i.Install(ctx, kubeconfig, with(model.Webhook{Mode: test.mode}), endpoint)
			if err == nil || !strings.Contains(err.Error(), "does not answer") {
				t.Errorf("installing: %v", err)
			}
			for _, ref := range test.has {
				if !there(ref) {
					t.Errorf("%s is not there", ref)
				}
			}
			if err := i.Remove(t.Context(), kubeconfig, test.mode, model.WebhookNone); err != nil {
				t.Errorf("removing: %v", err)
			}
			for _, ref := range test.has {
				if there(ref) {
					t.Errorf("%s is still there", ref)
				}
			}
		})
	}
	if !there(kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: deploy.WebhookNamespace}) {
		t.Error("a namespace that was there before is gone")
	}
}

// The two modes follow each other without a moment in which pods are let through.
func TestModesFollowEachOther(t *testing.T) {
	s := kubetest.Start(t)
	admin, err := kube.Connect(kube.Config{Kubeconfig: s.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	i := installer(t, func(c *cluster.InstallerConfig) { c.URL, c.Bundle = "https://127.0.0.1:1", bundle(t) })
	configuration := kube.Ref{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration", Name: deploy.WebhookConfiguration}
	// Without controllers a namespace that is deleted never goes: this one stays.
	apply(t, admin, "{apiVersion: v1, kind: Namespace, metadata: {name: "+deploy.WebhookNamespace+"}}")
	was := model.WebhookNone
	for _, mode := range []model.WebhookMode{model.WebhookURL, model.WebhookDeployment, model.WebhookURL, model.WebhookDeployment} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := i.Install(ctx, s.Kubeconfig, with(model.Webhook{Mode: mode}), endpoint)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Fatalf("from %s to %s: %v", was, mode, err)
		}
		if err := i.Remove(t.Context(), s.Kubeconfig, was, mode); err != nil {
			t.Fatal(err)
		}
		b, err := admin.Get(t.Context(), configuration)
		if err != nil {
			t.Fatal(err)
		}
		if byURL := strings.Contains(string(b), `"url":"https://127.0.0.1:1/clusters/`+endpoint); byURL != (mode == model.WebhookURL) {
			t.Errorf("in mode %s the configuration is %s", mode, b)
		}
		was = mode
	}
	if err := i.Remove(t.Context(), s.Kubeconfig, was, model.WebhookNone); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Get(t.Context(), configuration); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("the configuration is still there: %v", err)
	}
}
