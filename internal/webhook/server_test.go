package webhook_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/webhook"
)

// TestOnAPIServer shares one API server, which takes seconds to start.
func TestOnAPIServer(t *testing.T) {
	f := &fixture{api: kubetest.Start(t)}
	var err error
	if f.admin, err = kube.Connect(kube.Config{Kubeconfig: f.api.Kubeconfig}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.admin.Close)
	f.apply(t, objects)
	token, err := f.admin.CreateToken(t.Context(), kube.TokenRequest{Namespace: namespace, Account: "azure-wi-webhook-admin"})
	if err != nil {
		t.Fatal(err)
	}
	f.kubeconfig = f.api.KubeconfigWithToken(t, token.Token)

	t.Run("two-replicas-start-at-once", f.testTwoReplicas)
	t.Run("bundle-is-repaired", f.testRepair)
	t.Run("rotation-fails-no-request", f.testRotation)
	t.Run("drain", f.testDrain)
	t.Run("missing-rights-are-said", f.testRights)
	t.Run("secret-is-made", f.testMakesSecret)
	t.Run("ready-after-the-api-server", f.testOutage)
}

func (f *fixture) testTwoReplicas(t *testing.T) {
	replicas := []*replica{f.start(t, nil), f.start(t, nil)}
	serials := map[string]bool{}
	for _, r := range replicas {
		r.awaitReady(t)
		got, serial, err := r.review(t.Context(), f.bundle(t), time.Now(), "orders")
		if err != nil || !got.Response.Allowed || !bytes.Contains(got.Response.Patch, []byte("11111111-2222-3333-4444-555555555555")) {
			t.Errorf("review = %+v, %v", got, err)
		}
		serials[serial] = true
		if got, _, err = r.review(t.Context(), f.bundle(t), time.Now(), "nobody"); err != nil || got.Response.Allowed {
			t.Errorf("of an unknown service account: %+v, %v", got, err)
		}
	}
	if len(serials) != 1 {
		t.Errorf("the replicas serve %d certificates", len(serials))
	}
	b, err := f.admin.Get(t.Context(), f.secretRef())
	if err != nil || !strings.Contains(string(b), `"keep":"me"`) {
		t.Errorf("the Secret lost its label: %v", err)
	}
}

func (f *fixture) testRepair(t *testing.T) {
	r := f.start(t, nil)
	r.awaitReady(t)
	want := f.bundle(t)
	patch := fmt.Appendf(nil, `[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":%q}]`,
		base64.StdEncoding.EncodeToString(f.otherCA(t)))
	if _, err := f.admin.Patch(t.Context(), f.hooksRef(), kube.JSONPatch, patch); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bundle is repaired", func() bool { return bytes.Equal(f.bundle(t), want) })
	// As a fresh installation of the manifests would leave it.
	if _, err := f.admin.DeleteOne(t.Context(), f.hooksRef()); err != nil {
		t.Fatal(err)
	}
	f.apply(t, objects)
	eventually(t, "the bundle is set again", func() bool { return bytes.Equal(f.bundle(t), want) })
}

// testRotation moves two replicas through the years by a clock of their own, and
// asks all the while.
func (f *fixture) testRotation(t *testing.T) {
	var ahead atomic.Int64
	t.Cleanup(func() { // back to the present
		if _, err := f.admin.DeleteOne(context.WithoutCancel(t.Context()), f.secretRef()); err != nil {
			t.Error(err)
		}
	})
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	clock := func(c *webhook.Config) { c.Now = now }
	replicas := []*replica{f.start(t, clock), f.start(t, clock)}
	for _, r := range replicas {
		r.awaitReady(t)
	}
	serial, bundle := f.agreed(t, replicas, now()), f.bundle(t)
	for i, step := range []struct {
		what                 string
		jump                 time.Duration
		ended                bool // what was served has ended: nobody was there to renew it
		certificate, renewed bool // is new; the authority is new
	}{
		{what: "renewed in time", jump: 61 * day, certificate: true},
		{what: "nothing to do", jump: day},
		{what: "long gone", jump: 3200 * day, ended: true, certificate: true},
		{what: "the authority's last year", jump: 25 * day, renewed: true},
		{what: "too early", jump: 5 * time.Minute},
		{what: "the new authority signs", jump: 6 * time.Minute, certificate: true},
	} {
		ahead.Add(int64(step.jump))
		// Touching the Secret wakes both replicas, as a change by a third would.
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"look":"%d"}}}`, i)
		if _, err := f.admin.Patch(t.Context(), f.secretRef(), kube.MergePatch, patch); err != nil {
			t.Fatal(err)
		}
		before, was := bundle, serial
		eventually(t, step.what, func() bool {
			if !step.ended { // an API server that lags behind
				f.ask(t, replicas, before, now())
			}
			serial, bundle = f.agreed(t, replicas, now()), f.bundle(t)
			return t.Failed() || (serial != was) == step.certificate && !bytes.Equal(bundle, before) == step.renewed
		})
	}
}

// ask reviews a pod with each replica, as an API server that trusts this bundle.
func (f *fixture) ask(t *testing.T, replicas []*replica, bundle []byte, now time.Time) {
	t.Helper()
	for _, r := range replicas {
		if _, _, err := r.review(t.Context(), bundle, now, "orders"); err != nil {
			t.Errorf("a request failed: %v", err)
		}
	}
}

// agreed waits until all replicas serve one certificate that the API server trusts.
func (f *fixture) agreed(t *testing.T, replicas []*replica, now time.Time) (serial string) {
	t.Helper()
	eventually(t, "all replicas serve the same", func() bool {
		serials := map[string]bool{}
		for _, r := range replicas {
			_, got, err := r.review(t.Context(), f.bundle(t), now, "orders")
			if err != nil {
				return false
			}
			serial, serials[got] = got, true
		}
		return len(serials) == 1
	})
	return serial
}

func (f *fixture) testDrain(t *testing.T) {
	f.apply(t, objects)
	r := f.start(t, func(c *webhook.Config) { c.DrainDelay = 500 * time.Millisecond })
	r.awaitReady(t)
	bundle := f.bundle(t)
	r.stop()
	eventually(t, "not ready", func() bool { code, _ := r.readyz(t); return code == 503 })
	if _, _, err := r.review(t.Context(), bundle, time.Now(), "orders"); err != nil {
		t.Errorf("while leaving: %v", err)
	}
	<-r.done
	if _, _, err := r.review(t.Context(), bundle, time.Now(), "orders"); err == nil {
		t.Error("it still answers after it ended")
	}
}

func (f *fixture) testRights(t *testing.T) {
	nobody := f.api.KubeconfigFor(t, time.Now().Add(time.Hour), "nobody")
	r := f.start(t, func(c *webhook.Config) { c.Kube.Kubeconfig = nobody })
	eventually(t, "words about the rights", func() bool {
		log := r.log.String()
		return strings.Contains(log, `\"nobody\" cannot get resource \"secrets\"`) && strings.Contains(log, `cannot list resource \"serviceaccounts\"`) ||
			strings.Contains(log, `\"nobody\" cannot get resource \"secrets\"`) && strings.Contains(log, `cannot watch resource \"serviceaccounts\"`)
	})
	if code, body := r.readyz(t); code != 503 || !strings.Contains(body, "certificate") || !strings.Contains(body, "service accounts") {
		t.Errorf("readyz = %d %s", code, body)
	}
}

func (f *fixture) testMakesSecret(t *testing.T) {
	if _, err := f.admin.DeleteOne(t.Context(), f.secretRef()); err != nil {
		t.Fatal(err)
	}
	r := f.start(t, func(c *webhook.Config) { c.Kube.Kubeconfig = f.api.Kubeconfig })
	r.awaitReady(t)
	if _, _, err := r.review(t.Context(), f.bundle(t), time.Now(), "orders"); err != nil {
		t.Error(err)
	}
}

// testOutage comes last: it stops the API server.
func (f *fixture) testOutage(t *testing.T) {
	dir, bundle := t.TempDir(), f.bundle(t)
	f.saveCertificate(t, dir)
	f.api.Down()
	r := f.start(t, func(c *webhook.Config) { c.CertDir = dir })
	code, body := r.readyz(t)
	if code != 503 || !strings.Contains(body, "service accounts") || strings.Contains(body, "certificate") {
		t.Errorf("readyz = %d %s", code, body)
	}
	got, _, err := r.review(t.Context(), bundle, time.Now(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	if status := got.Response.Status; got.Response.Allowed || status.Code < 500 || !strings.Contains(r.log.String(), "cannot reach the API server") {
		t.Errorf("review = %+v, want a refusal of the server's; the log:\n%s", got, r.log)
	}

	f.api.Up(t)
	r.awaitReady(t)
	f.api.Down()
	if got, _, err = r.review(t.Context(), bundle, time.Now(), "orders"); err != nil || !got.Response.Allowed {
		t.Errorf("from memory: %+v, %v", got, err)
	}
	if code, body := r.readyz(t); code != 200 {
		t.Errorf("readyz during a later outage = %d %s", code, body)
	}
}
