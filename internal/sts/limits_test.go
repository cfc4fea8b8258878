package sts_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/sts"
)

// from posts a form as if it came from another address.
func (w *world) from(remote, to, body string) *http.Response {
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, to, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = net.JoinHostPort(remote, "40000")
	answer := httptest.NewRecorder()
	w.edge.ServeHTTP(answer, r)
	return answer.Result() //nolint:bodyclose // a recorder's
}

// throttled checks that an answer is a 429 that SDKs heed.
func throttled(t *testing.T, p *reply) {
	t.Helper()
	after, err := strconv.Atoi(p.header.Get("Retry-After"))
	if p.status != http.StatusTooManyRequests || err != nil || after < 1 || after > 60 || p.Error != "temporarily_unavailable" || len(p.Codes) != 1 || p.Codes[0] != 90025 {
		t.Errorf("got %d, Retry-After %q: %s", p.status, p.header.Get("Retry-After"), p.raw)
	}
}

// Refusals beyond the limit are 429; what is right goes on, also from the same
// address, which may be a whole cluster's.
func TestRefusalsAreLimitedByAddress(t *testing.T) {
	w := newWorld(t, func(_ *names.Config, c *sts.Config) { c.Limits.Refusals = 40 })
	app := w.app("the-secret", w.Now().Add(time.Hour))
	good := form("client_id", app.AppID, "client_secret", "the-secret")
	bad := form("client_id", app.AppID, "client_secret", "wrong")
	for range 20 {
		w.refused(w.post(tokenURL, bad), 401, "invalid_client", 7000215)
	}
	p := w.post(tokenURL, bad)
	throttled(t, p)
	throttled(t, w.post(tokenURL, "grant_type=nonsense"))
	w.issued(w.post(tokenURL, good))
	for range 100 {
		w.issued(w.post(tokenURL, good))
	}
	// Its reason is still to be found.
	records, err := w.Records.Find(t.Context(), p.TraceID)
	check(t, err)
	if len(records) != 1 || records[0].Code != "AADSTS7000215" {
		t.Errorf("records of a limited request: %+v", records)
	}
	if status := w.from("198.51.100.1", tokenURL, bad).StatusCode; status != 401 {
		t.Errorf("another address gets %d, want 401", status)
	}
	w.Ahead.Add(int64(time.Minute))
	w.refused(w.post(tokenURL, bad), 401, "invalid_client", 7000215)
}

// A device that waits for its person does what the protocol says.
func TestWaitingDevicesAreNoRefusals(t *testing.T) {
	w := newWorld(t, func(_ *names.Config, c *sts.Config) { c.Limits.Refusals = 4 })
	code, _ := w.device()
	for range 20 {
		if p := w.post(orgURL, polling(code)); p.status != 400 {
			t.Fatalf("a poll gets %d %s", p.status, p.raw)
		}
	}
}

// Ninety passwords at once from one stranger, and as many from a whole /48, leave
// room for others in the queue of hashes.
func TestStrangersDoNotFillTheQueueOfPasswords(t *testing.T) {
	w := newWorld(t, nil)
	w.user(aliceUPN, word)
	for name, from := range map[string]func(int) string{
		"address": func(int) string { return "192.0.2.1" },
		"site":    func(n int) string { return fmt.Sprintf("2001:db8:1:%x::1", n%3) },
	} {
		var all sync.WaitGroup
		var mu sync.Mutex
		got := map[int]int{}
		for n := range 90 {
			all.Go(func() {
				status := w.from(from(n), orgURL, ropc(fmt.Sprintf("nobody%d@lanyard.test", n), "wrong")).StatusCode
				mu.Lock()
				got[status]++
				mu.Unlock()
			})
		}
		if status := w.from("198.51.100.1", orgURL, ropc(aliceUPN, word)).StatusCode; status != http.StatusOK {
			t.Errorf("%s: meanwhile another one gets %d, want 200", name, status)
		}
		all.Wait()
		if name == "address" && (got[400] < 30 || got[429] < 30 || got[400]+got[429] != 90) {
			t.Errorf("the stranger gets %v, want 30 or a few more looked at, and 429", got)
		}
	}
}

// A sign-in with the right password takes nothing from others behind the same address.
func TestRightPasswordsAreNotCounted(t *testing.T) {
	w := newWorld(t, func(_ *names.Config, c *sts.Config) { c.Limits.SignIns = 4 })
	w.user(aliceUPN, word)
	for range 5 {
		w.issued(w.post(orgURL, ropc(aliceUPN, word)))
	}
	for range 2 {
		w.refused(w.post(orgURL, ropc(aliceUPN, "wrong")), 400, "invalid_grant", 50126)
	}
	throttled(t, w.post(orgURL, ropc(aliceUPN, word)))
}
