package trust_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

func down(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }

func TestRandomKeyIDsFetchOncePerInterval(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	good := issuer.Sign(claims(nil), trusttest.Options{})
	for interval := 1; interval <= 2; interval++ {
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for n := range 1250 {
					kid := fmt.Sprintf("random-%d-%d-%d", interval, worker, n)
					b.want(withHeader(t, good, map[string]any{"alg": "RS256", "kid": kid}), trust.UnknownKey)
				}
			})
		}
		wg.Wait()
		wantFetches(t, issuer, trusttest.Counts{}, interval)
		b.want(good, "")
		b.pass(30 * time.Second)
	}
	if got := issuer.Fetches(); got.Discovery != got.Keys {
		t.Errorf("fetches = %+v, want as many of keys as of discovery", got)
	}
}

func TestConcurrentRequestsShareOneFetch(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{MinRefetch: time.Nanosecond})
	arrived, release := make(chan struct{}), make(chan struct{})
	issuer.HandleDiscovery(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived) // panics, and so fails the fetch, the second time
		<-release
		_, _ = w.Write(issuer.Discovery())
	})
	token := issuer.Sign(claims(nil), trusttest.Options{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { b.want(token, "") })
	}
	<-arrived
	close(release)
	wg.Wait()
	wantFetches(t, issuer, trusttest.Counts{}, 1)
}

func TestFetchOutlivesTheRequestThatBeganIt(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	arrived, release := make(chan struct{}), make(chan struct{})
	issuer.HandleKeys(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = w.Write(issuer.JWKS())
	})
	token := issuer.Sign(claims(nil), trusttest.Options{})
	a, err := trust.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	wantReason(t, b.Verify(ctx, a, b.source(), audience), trust.Unreachable)
	close(release)
	b.want(token, "")
	wantFetches(t, issuer, trusttest.Counts{}, 1)
}

func TestFailureIsRemembered(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	issuer.HandleDiscovery(down)
	token := issuer.Sign(claims(nil), trusttest.Options{})
	for range 100 {
		b.want(token, trust.Unreachable)
	}
	wantFetches(t, issuer, trusttest.Counts{}, 1)

	issuer.HandleDiscovery(nil)
	b.want(token, trust.Unreachable)
	b.pass(30 * time.Second)
	b.want(token, "")
	wantFetches(t, issuer, trusttest.Counts{}, 2)
}

func TestNewRootsNeedNotWaitForTheLastFailure(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	token := issuer.Sign(claims(nil), trusttest.Options{})
	wantReason(t, b.verifyFrom(token, trust.Source{Issuer: issuer.URL}), trust.Unreachable)
	b.want(token, "")
}

func TestNewKeyIsFoundAfterTheInterval(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	b.want(issuer.Sign(claims(nil), trusttest.Options{}), "")
	kid := issuer.AddKey("", "RS256")
	fresh := issuer.Sign(claims(nil), trusttest.Options{KeyID: kid})
	b.want(fresh, trust.UnknownKey)
	b.pass(30 * time.Second)
	b.want(fresh, "")
	wantFetches(t, issuer, trusttest.Counts{}, 2)
}

func TestWithdrawnKeyDiesWithinMaxAge(t *testing.T) {
	issuer := trusttest.New(t)
	issuer.AddKey("stays", "ES256")
	b := newBench(t, issuer, trust.Config{MaxAge: 4 * time.Minute, MaxStale: time.Hour})
	sign := issuer.Withdraw(issuer.KeyID())
	issuer.HandleKeys(nil)
	withdrawn := sign(claims(nil))
	b.want(withdrawn, trust.UnknownKey)
	b.want(issuer.Sign(claims(nil), trusttest.Options{KeyID: "stays"}), "")

	gone := issuer.Sign(claims(nil), trusttest.Options{KeyID: "stays"})
	issuer.Remove("stays")
	b.pass(4*time.Minute - time.Second)
	b.want(gone, "") // within MaxAge; also begins the refresh ahead of it
	b.pass(time.Second)
	b.want(gone, trust.UnknownKey)
	wantFetches(t, issuer, trusttest.Counts{}, 2)
}

func TestEmptyKeySetWithdrawsEveryKey(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	token := issuer.Sign(claims(nil), trusttest.Options{})
	b.want(token, "")
	issuer.HandleKeys(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) })
	b.pass(5 * time.Minute)
	b.want(token, trust.UnknownKey)
	issuer.HandleKeys(down)
	b.pass(time.Minute)
	b.want(token, trust.Unreachable)
}

func TestOldKeysServeOnlyWhileTheIssuerIsUnreachable(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	token := issuer.Sign(claims(nil), trusttest.Options{})
	b.want(token, "")
	issuer.HandleDiscovery(down)
	b.pass(6 * time.Minute)
	b.want(token, "")
	wantFetches(t, issuer, trusttest.Counts{}, 2)
	b.want(withHeader(t, token, map[string]any{"alg": "RS256", "kid": "other"}), trust.Unreachable)
	b.pass(4*time.Minute - time.Second)
	b.want(token, "")
	b.pass(time.Second)
	b.want(token, trust.Unreachable)

	issuer.HandleDiscovery(nil)
	b.pass(30 * time.Second)
	b.want(token, "")
}

func TestKeysAreRefreshedAheadOfTheirAge(t *testing.T) {
	issuer := trusttest.New(t)
	b := newBench(t, issuer, trust.Config{})
	token := issuer.Sign(claims(nil), trusttest.Options{})
	b.want(token, "")
	fetched := make(chan struct{}, 1)
	issuer.HandleKeys(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(issuer.JWKS())
		fetched <- struct{}{}
	})
	b.pass(2 * time.Minute)
	b.want(token, "")
	wantFetches(t, issuer, trusttest.Counts{}, 1)
	b.pass(time.Minute)
	for range 100 {
		b.want(token, "")
	}
	<-fetched
	wantFetches(t, issuer, trusttest.Counts{}, 2)
}

func TestIssuerCacheIsBounded(t *testing.T) {
	issuer := trusttest.New(t)
	synctest.Test(t, func(t *testing.T) {
		v := trust.New(trust.Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("no network here")
		})})
		for n := range 5000 {
			a := &trust.Assertion{Alg: "RS256", Issuer: fmt.Sprintf("https://issuer-%d.example", n), Audiences: []string{audience}, Expires: time.Now().Add(time.Hour)}
			wantReason(t, v.Verify(t.Context(), a, trust.Source{Issuer: a.Issuer, Roots: issuer.CA}, audience), trust.Unreachable)
		}
		if got := v.IssuersCached(); got != 4096 {
			t.Errorf("%d issuers are cached, want 4096", got)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
