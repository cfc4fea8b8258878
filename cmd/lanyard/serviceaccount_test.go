package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/serviceaccount"
	"github.com/lanyard-io/lanyard/lanyardtest"
)

// lab is a real API server and a real Lanyard, and a person's home beside them.
type lab struct {
	t   *testing.T
	k   *kube.Cluster
	env map[string]string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	api := kubetest.Start(t)
	home := t.TempDir()
	lanyardtest.New(t, lanyardtest.Config{Dir: filepath.Join(home, ".lanyard")})
	path := filepath.Join(home, "kubeconfig")
	if err := os.WriteFile(path, api.Kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := kube.Connect(kube.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return &lab{t, k, map[string]string{"HOME": home, "KUBECONFIG": path}}
}

// run runs the program in this process.
func (l *lab) run(args ...string) (code int, stdout, stderr string) {
	l.t.Helper()
	var out, errs strings.Builder
	code = run(context.Background(), args, stdio{
		In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(name string) string { return l.env[name] },
	})
	return code, out.String(), errs.String()
}

// phases runs a command that must succeed, and gives each phase's result.
func (l *lab) phases(args ...string) (r serviceaccount.Result, results string) {
	l.t.Helper()
	code, out, errs := l.run(append(args, "-o", "json")...)
	if code != 0 {
		l.t.Fatalf("lanyard %s: exit %d\n%s", strings.Join(args, " "), code, errs)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		l.t.Fatalf("%v\n%s", err, out)
	}
	var all []string
	for _, s := range r.Steps {
		all = append(all, s.Phase+"="+s.Result)
	}
	return r, strings.Join(all, " ")
}

func (l *lab) want(want string, args ...string) serviceaccount.Result {
	l.t.Helper()
	r, got := l.phases(args...)
	if got != want {
		l.t.Errorf("lanyard %s:\n got %s\nwant %s", strings.Join(args, " "), got, want)
	}
	return r
}

// account reads a service account's annotations.
func (l *lab) account(name string) map[string]string {
	l.t.Helper()
	b, err := l.k.Get(l.t.Context(), kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: "default", Name: name})
	if err != nil {
		l.t.Fatal(err)
	}
	var sa struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(b, &sa); err != nil {
		l.t.Fatal(err)
	}
	return sa.Metadata.Annotations
}

func TestServiceAccounts(t *testing.T) {
	l := newLab(t)
	make := []string{"serviceaccount", "create", "orders", "--role", "Key Vault Secrets User", "--token-expiration", "2h"}
	l.want("identity=would-create service-account=would-create federated-credential=would-create role-assignment=would-create",
		append(make, "--dry-run")...)
	r := l.want("identity=created service-account=created federated-credential=created role-assignment=created", make...)
	l.want("identity=unchanged service-account=unchanged federated-credential=unchanged role-assignment=unchanged", make...)
	if got := l.account("orders"); got["azure.workload.identity/client-id"] != r.ClientID || got["azure.workload.identity/service-account-token-expiration"] != "7200" || len(got) != 2 {
		t.Errorf("annotations = %v, want client id %s and 7200 s", got, r.ClientID)
	}
	_, out, _ := l.run("credential", "list", "-i", "default-orders", "-o", "json")
	if !strings.Contains(out, "system:serviceaccount:default:orders") || !strings.Contains(out, "https://issuer.kubetest.invalid") {
		t.Errorf("credentials = %s", out)
	}

	// Another identity's credential keeps it from being deleted.
	if code, _, errs := l.run("credential", "create", "other", "-i", "default-orders", "--issuer", "https://a.example", "--subject", "b"); code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := l.run("sa", "delete", "orders"); code != 1 || !strings.Contains(errs, "for somebody else") {
		t.Errorf("delete of a shared identity: exit %d\n%s", code, errs)
	}
	l.want("role-assignment=skipped federated-credential=deleted service-account=deleted", "sa", "delete", "orders", "--skip-phases", "identity")
	if code, _, errs := l.run("credential", "delete", "other", "-i", "default-orders"); code != 0 {
		t.Fatal(errs)
	}
	l.want("role-assignment=would-delete federated-credential=skipped service-account=absent identity=would-delete", "sa", "delete", "orders", "--dry-run")
	l.want("role-assignment=deleted federated-credential=skipped service-account=absent identity=deleted", "sa", "delete", "orders")
	l.want("role-assignment=absent federated-credential=skipped service-account=absent identity=absent", "sa", "delete", "orders")
	t.Run("one-phase", func(t *testing.T) { l.t = t; testOnePhase(l) })
	t.Run("publish", func(t *testing.T) { l.t = t; testPublishCluster(l) })
	t.Run("doctor", func(t *testing.T) { l.t = t; testDoctorPod(l) })
}

// Phases run alone; an account that is there keeps all that is its own.
func testOnePhase(l *lab) {
	t := l.t
	sa := `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"old","namespace":"default","annotations":{"team":"shop","azure.workload.identity/client-id":"other"}}}`
	if _, err := l.k.Create(t.Context(), []byte(sa)); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := l.run("sa", "create", "phase", "service-account", "old"); code != 1 || !strings.Contains(errs, `no identity "default-old"`) {
		t.Errorf("a phase before its identity: exit %d\n%s", code, errs)
	}
	r := l.want("identity=created", "sa", "create", "phase", "identity", "old")
	l.want("service-account=changed", "sa", "create", "phase", "service-account", "old")
	if got := l.account("old"); got["team"] != "shop" || got["azure.workload.identity/client-id"] != r.ClientID {
		t.Errorf("annotations = %v, want team kept and client id %s", got, r.ClientID)
	}
	l.want("role-assignment=skipped", "sa", "create", "phase", "role-assignment", "old")
	if code, _, errs := l.run("sa", "create", "phase", "role-assignment", "old", "--role", "King"); code != 1 || !strings.Contains(errs, `no such role "King"`) {
		t.Errorf("an unknown role: exit %d\n%s", code, errs)
	}
	// A credential alone needs no cluster when the issuer and the namespace are named.
	delete(l.env, "KUBECONFIG")
	l.want("federated-credential=created", "sa", "create", "phase", "federated-credential", "old", "-n", "default", "--issuer-url", "https://issuer.example")
	l.env["KUBECONFIG"] = filepath.Join(l.env["HOME"], "kubeconfig")
}

func testPublishCluster(l *lab) {
	dir := l.t.TempDir()
	code, out, errs := l.run("issuer", "publish", "--no-check", dir, "-o", "json")
	if code != 0 || !strings.Contains(out, `"issuer": "https://issuer.kubetest.invalid"`) {
		l.t.Fatalf("publish: exit %d\n%s%s", code, out, errs)
	}
	if code, _, errs := l.run("issuer", "publish", "--no-check", "--issuer-url", "https://other.example", dir); code != 1 ||
		!strings.Contains(errs, "carry the issuer https://issuer.kubetest.invalid") {
		l.t.Errorf("another issuer than the cluster's: exit %d\n%s", code, errs)
	}
}

func testDoctorPod(l *lab) {
	code, out, errs := l.run("doctor", "pod", "app")
	if code != 1 || !strings.Contains(out, "problem  pod") || !strings.Contains(errs, `error: broken: pod: namespace default has no pod "app"`) || !strings.Contains(errs, "hint: ") {
		l.t.Errorf("doctor: exit %d\n%s%s", code, out, errs)
	}
	code, out, _ = l.run("doctor", "pod", "app", "-o", "json")
	var r struct {
		Healthy bool   `json:"healthy"`
		Broken  string `json:"broken"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 1 || r.Healthy || r.Broken != "pod" {
		l.t.Errorf("doctor -o json: exit %d, %v\n%s", code, err, out)
	}
}
