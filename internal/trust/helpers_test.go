package trust_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

const audience = "api://AzureADTokenExchange"

// bench is a verifier with a clock of its own, and an issuer to verify.
type bench struct {
	*trust.Verifier
	t      testing.TB
	issuer *trusttest.Issuer
	ahead  *atomic.Int64 // of the real time
}

func newBench(t testing.TB, issuer *trusttest.Issuer, c trust.Config) *bench {
	t.Helper()
	ahead := new(atomic.Int64)
	c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	return &bench{Verifier: trust.New(c), t: t, issuer: issuer, ahead: ahead}
}

func (b *bench) pass(d time.Duration) { b.ahead.Add(int64(d)) }

func (b *bench) source() trust.Source {
	return trust.Source{Issuer: b.issuer.URL, Roots: b.issuer.CA}
}

// verify is what a token service does with an assertion.
func (b *bench) verify(token string) error {
	b.t.Helper()
	return b.verifyFrom(token, b.source())
}

func (b *bench) verifyFrom(token string, src trust.Source) error {
	b.t.Helper()
	a, err := trust.Parse(token)
	if err != nil {
		return err
	}
	return b.Verify(b.t.Context(), a, src, audience)
}

func (b *bench) want(token string, reason trust.Reason) {
	b.t.Helper()
	wantReason(b.t, b.verify(token), reason)
}

// wantFetches checks how often keys were fetched since before.
func wantFetches(t testing.TB, issuer *trusttest.Issuer, before trusttest.Counts, want int) {
	t.Helper()
	if got := issuer.Fetches().Discovery - before.Discovery; got != want {
		t.Errorf("discovery was fetched %d times, want %d", got, want)
	}
}

// wantReason checks a refusal; "" wants none.
func wantReason(t testing.TB, err error, want trust.Reason) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("refused: %v (%v)", err, errors.Unwrap(err))
		}
		return
	}
	refusal, ok := errors.AsType[*trust.Error](err)
	if !ok {
		t.Errorf("error = %v, want a refusal for reason %s", err, want)
		return
	}
	if refusal.Reason != want || refusal.Detail == "" {
		t.Errorf("refused for reason %s (%s; %v), want %s", refusal.Reason, refusal.Detail, refusal.Err, want)
	}
}

func claims(changes map[string]any) map[string]any {
	all := map[string]any{"aud": audience, "sub": "system:serviceaccount:demo:app"}
	for k, v := range changes {
		all[k] = v
	}
	return all
}

// compact puts a token together from raw parts.
func compact(header, payload string, signature []byte) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(header)) + "." + b64([]byte(payload)) + "." + b64(signature)
}

// withHeader changes a signed token's header, so that its signature breaks.
func withHeader(t testing.TB, token string, header map[string]any) string {
	t.Helper()
	b, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString(b) + "." + rest
}
