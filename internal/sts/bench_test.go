package sts_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

// BenchmarkExchange is a whole federated exchange without the network: RS256 in, ES256 out.
func BenchmarkExchange(b *testing.B) {
	w := newWorld(b, nil)
	issuer := trusttest.New(b)
	w.trusts(issuer)
	id := w.identity("id", model.FederatedCredential{Issuer: issuer.URL, Subject: subject})
	body := assert(id.ClientID, issuer.KubernetesToken("lab", "workload", audience, time.Hour))
	b.ReportAllocs()
	for b.Loop() {
		if status := w.handle(body); status != http.StatusOK {
			b.Fatal(status)
		}
	}
}

// BenchmarkSecret has no signature to verify: what is left besides one
// signature is the handler's own work.
func BenchmarkSecret(b *testing.B) {
	w := newWorld(b, nil)
	app := w.app("secret", time.Now().Add(time.Hour))
	body := form("client_id", app.AppID, "client_secret", "secret")
	b.ReportAllocs()
	for b.Loop() {
		if status := w.handle(body); status != http.StatusOK {
			b.Fatal(status)
		}
	}
}

// BenchmarkSign is the bound: the signature alone.
func BenchmarkSign(b *testing.B) {
	w := newWorld(b, nil)
	claims := []byte(`{"aud":"` + strings.Repeat("x", 500) + `"}`)
	for b.Loop() {
		if _, err := w.keys.Sign("ES256", claims); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefusal compares with twenty credentials before it refuses.
func BenchmarkRefusal(b *testing.B) {
	w := newWorld(b, nil)
	issuer := trusttest.New(b)
	var all []model.FederatedCredential
	for n := range 20 {
		all = append(all, model.FederatedCredential{Issuer: issuer.URL, Subject: subject + string(rune('a'+n))})
	}
	id := w.identity("id", all...)
	body := assert(id.ClientID, issuer.KubernetesToken("lab", "workload", audience, time.Hour))
	b.ReportAllocs()
	for b.Loop() {
		if status := w.handle(body); status != http.StatusUnauthorized {
			b.Fatal(status)
		}
	}
}

func (w *world) handle(body string) int {
	r := httptest.NewRequest(http.MethodPost, tokenURL, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.edge.ServeHTTP(rec, r)
	return rec.Code
}
