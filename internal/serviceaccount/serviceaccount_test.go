package serviceaccount_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/manage/managetest"
	"github.com/lanyard-io/lanyard/internal/serviceaccount"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// lab is a real Lanyard, and what is asked of it.
type lab struct {
	t *testing.T
	c serviceaccount.Config
}

func newLab(t *testing.T) *lab {
	t.Helper()
	return &lab{t, serviceaccount.Config{
		Server: managetest.Start(t, managetest.Config{}), Namespace: "shop", Name: "orders", Group: manage.DefaultGroup,
		Issuer: "https://issuer.example", Audience: wi.Audience, Role: "Key Vault Secrets User",
		Note: func(serviceaccount.Step) {}, Wait: func(string) {},
	}}
}

type flow func(context.Context, serviceaccount.Config) (*serviceaccount.Result, error)

// want runs a flow and compares each phase's result.
func (l *lab) want(do flow, want string, change func(*serviceaccount.Config)) *serviceaccount.Result {
	l.t.Helper()
	c := l.c
	var noted []serviceaccount.Step
	c.Note = func(s serviceaccount.Step) { noted = append(noted, s) }
	if change != nil {
		change(&c)
	}
	r, err := do(l.t.Context(), c)
	if err != nil {
		l.t.Fatal(err)
	}
	var got []string
	for _, s := range r.Steps {
		got = append(got, s.Phase+"="+s.Result)
	}
	if all := strings.Join(got, " "); all != want {
		l.t.Errorf("got %s\nwant %s", all, want)
	}
	if !slices.Equal(noted, r.Steps) {
		l.t.Errorf("the steps were told as %v", noted)
	}
	return r
}

// fails runs a flow that must fail with words and a hint.
func (l *lab) fails(do flow, words string, change func(*serviceaccount.Config)) {
	l.t.Helper()
	c := l.c
	change(&c)
	if _, err := do(l.t.Context(), c); err == nil || !strings.Contains(err.Error(), words) || fault.Hint(err) == "" {
		l.t.Errorf("the error is %v, want %q and a hint", err, words)
	}
}

// noAccount leaves the cluster out.
func noAccount(c *serviceaccount.Config) { c.Skip = append(c.Skip, serviceaccount.PhaseAccount) }

func TestWithoutACluster(t *testing.T) {
	l := newLab(t)
	l.want(serviceaccount.Create, "identity=would-create federated-credential=would-create role-assignment=would-create",
		func(c *serviceaccount.Config) { noAccount(c); c.DryRun = true })
	made := l.want(serviceaccount.Create, "identity=created federated-credential=created role-assignment=created", noAccount)
	again := l.want(serviceaccount.Create, "identity=unchanged federated-credential=unchanged role-assignment=unchanged", noAccount)
	if made.Identity != "shop-orders" || made.ClientID == "" || again.ClientID != made.ClientID {
		t.Errorf("made %+v, then %+v", made, again)
	}
	all, err := l.c.Server.Credentials(manage.DefaultGroup, "shop-orders").List(t.Context())
	if err != nil || len(all) != 1 || all[0].Is.Properties.Subject != "system:serviceaccount:shop:orders" ||
		all[0].Is.Properties.Issuer != "https://issuer.example" || !strings.HasPrefix(all[0].Is.Name, "shop-orders-") {
		t.Fatalf("credentials %+v: %v", all, err)
	}
	// The same account of another cluster has a credential of its own; a name that is
	// taken by something else is not written over.
	l.want(serviceaccount.Create, "federated-credential=created", func(c *serviceaccount.Config) {
		c.Issuer, c.Skip = "https://other.example", []string{"identity", "service-account", "role-assignment"}
	})
	l.fails(serviceaccount.Create, "exists already, with the issuer https://issuer.example; nothing was changed", func(c *serviceaccount.Config) {
		noAccount(c)
		c.Issuer, c.Credential = "https://third.example", all[0].Is.Name
	})
	l.fails(serviceaccount.Create, `no such role "King"`, func(c *serviceaccount.Config) { noAccount(c); c.Role = "King" })
	l.fails(serviceaccount.Create, "is no resource id", func(c *serviceaccount.Config) { noAccount(c); c.Scope = "kv" })

	l.want(serviceaccount.Delete, "role-assignment=would-delete federated-credential=skipped identity=would-delete",
		func(c *serviceaccount.Config) { noAccount(c); c.DryRun = true })
	l.want(serviceaccount.Delete, "role-assignment=deleted federated-credential=skipped identity=deleted", noAccount)
	l.want(serviceaccount.Delete, "role-assignment=absent federated-credential=skipped identity=absent", noAccount)
	l.fails(serviceaccount.Create, `no identity "shop-orders"`, func(c *serviceaccount.Config) {
		c.Skip = []string{"identity", "service-account"}
	})
	l.fails(serviceaccount.Create, `no resource group "nowhere"`, func(c *serviceaccount.Config) { noAccount(c); c.Group = "nowhere" })
}

// An identity that somebody else stands for too is kept.
func TestSharedIdentity(t *testing.T) {
	l := newLab(t)
	l.want(serviceaccount.Create, "identity=created federated-credential=created role-assignment=skipped",
		func(c *serviceaccount.Config) { noAccount(c); c.Role = "" })
	_, _, err := l.c.Server.Credentials(manage.DefaultGroup, "shop-orders").Create(t.Context(), "other",
		manage.CredentialProperties{Issuer: "https://a.example", Subject: "b", Audiences: []string{wi.Audience}})
	if err != nil {
		t.Fatal(err)
	}
	l.fails(serviceaccount.Delete, "the federated credential other for somebody else", noAccount)
	l.want(serviceaccount.Delete, "role-assignment=skipped federated-credential=deleted",
		func(c *serviceaccount.Config) { c.Role, c.Skip = "", []string{"identity", "service-account"} })
	all, err := l.c.Server.Credentials(manage.DefaultGroup, "shop-orders").List(t.Context())
	if err != nil || len(all) != 1 || all[0].Is.Name != "other" {
		t.Errorf("left are %+v: %v", all, err)
	}
}

// The account keeps what is its own, and says when its pods must be made anew.
func TestAccount(t *testing.T) {
	api := kubetest.Start(t)
	k, err := kube.Connect(kube.Config{Kubeconfig: api.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	l := newLab(t)
	l.c.Cluster, l.c.Namespace, l.c.Issuer, l.c.Role, l.c.Expiration = k, "", "", "", 2*time.Hour
	r := l.want(serviceaccount.Create, "identity=created service-account=created federated-credential=created role-assignment=skipped", nil)
	l.want(serviceaccount.Create, "identity=unchanged service-account=unchanged federated-credential=unchanged role-assignment=skipped", nil)
	if r.Namespace != "default" {
		t.Errorf("the namespace is %q, want the kubeconfig's", r.Namespace)
	}
	all, err := l.c.Server.Credentials(manage.DefaultGroup, r.Identity).List(t.Context())
	if err != nil || len(all) != 1 || all[0].Is.Properties.Issuer != "https://issuer.kubetest.invalid" {
		t.Errorf("the issuer is not the cluster's: %+v, %v", all, err)
	}

	const old = `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"old","namespace":"default",
		"annotations":{"team":"shop","azure.workload.identity/client-id":"other"}}}`
	if _, err := k.Create(t.Context(), []byte(old)); err != nil {
		t.Fatal(err)
	}
	r = l.want(serviceaccount.Create, "identity=created service-account=changed federated-credential=created role-assignment=skipped",
		func(c *serviceaccount.Config) { c.Name = "old" })
	if detail := r.Steps[1].Detail; !strings.Contains(detail, "its client id was other: re-create its pods") {
		t.Errorf("the step says %q", detail)
	}
	b, err := k.Get(t.Context(), kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: "default", Name: "old"})
	if err != nil {
		t.Fatal(err)
	}
	var sa struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(b, &sa); err != nil {
		t.Fatal(err)
	}
	notes := sa.Metadata.Annotations
	if notes["team"] != "shop" || notes["azure.workload.identity/client-id"] != r.ClientID || len(notes) != 3 ||
		notes["azure.workload.identity/service-account-token-expiration"] != "7200" {
		t.Errorf("annotations %v", notes)
	}
	l.fails(serviceaccount.Create, "", func(c *serviceaccount.Config) { c.Namespace = "nowhere" })
	l.want(serviceaccount.Delete, "role-assignment=absent federated-credential=skipped service-account=deleted identity=deleted", nil)
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		c    serviceaccount.Config
		want string
	}{
		"nothing": {serviceaccount.Config{}, ""},
		"phase":   {serviceaccount.Config{Skip: []string{"identity", "vault"}}, `no such phase "vault"`},
		"short":   {serviceaccount.Config{Expiration: time.Minute}, "want 1h to 24h"},
		"long":    {serviceaccount.Config{Expiration: 25 * time.Hour}, "want 1h to 24h"},
	} {
		if err := test.c.Validate(); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestNeedsCluster(t *testing.T) {
	named := serviceaccount.Config{Namespace: "shop", Issuer: "https://issuer.example"}
	skipping := func(c serviceaccount.Config, skip ...string) serviceaccount.Config { c.Skip = skip; return c }
	unnamed := serviceaccount.Config{Namespace: "shop"}
	for name, test := range map[string]struct {
		c                serviceaccount.Config
		create, deletion bool
	}{
		"all":                  {named, true, true},
		"no-account":           {skipping(named, "service-account"), false, false},
		"namespace-unknown":    {skipping(serviceaccount.Config{Issuer: "x"}, "service-account"), true, true},
		"issuer-unknown":       {skipping(unnamed, "service-account"), true, false}, // a deleted identity takes its credentials along
		"credential-alone":     {skipping(unnamed, "service-account", "identity"), true, true},
		"without-a-credential": {skipping(unnamed, "service-account", "identity", "federated-credential"), false, false},
	} {
		if got := test.c.NeedsCluster(false); got != test.create {
			t.Errorf("%s: create %t", name, got)
		}
		if got := test.c.NeedsCluster(true); got != test.deletion {
			t.Errorf("%s: delete %t", name, got)
		}
	}
}
