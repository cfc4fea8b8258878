package signin_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/limit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/password"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/signin"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

const (
	word   = "correct horse battery"
	client = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
)

// house is where people sign in.
type house struct {
	*signin.People
	t      *testing.T
	store  *store.Store
	sealer *seal.Sealer
	ahead  atomic.Int64 // how far its clock is ahead of ours
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

func newHouse(t *testing.T, perMinute float64) *house {
	t.Helper()
	h := &house{t: t, store: storetest.New(t)}
	kek, err := seal.CreateKeyFile(filepath.Join(t.TempDir(), "seal.key"))
	check(t, err)
	h.sealer, err = seal.New(kek)
	check(t, err)
	h.People, err = signin.New(signin.Config{
		Store: h.store, Sealer: h.sealer, Domain: "lanyard.test", Now: h.now,
		Failures: limit.New(limit.Config{PerMinute: perMinute, Now: h.now}),
	})
	check(t, err)
	return h
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) user(upn string, change func(*model.User)) *model.User {
	h.t.Helper()
	u := &model.User{ObjectID: model.NewUUID(), UPN: upn, Stamp: model.NewUUID()}
	hash, err := password.NewHasher().Hash(h.t.Context(), word)
	check(h.t, err)
	u.Password, err = h.sealer.Seal([]byte(hash), u.PasswordName())
	check(h.t, err)
	if change != nil {
		change(u)
	}
	_, err = h.store.Put(h.t.Context(), u, store.Any)
	check(h.t, err)
	return u
}

func (h *house) try(name, secret string) (*model.User, error) {
	return h.Check(h.t.Context(), name, secret, limit.SourceOf("192.0.2.1"))
}

func (h *house) view() *store.View {
	h.t.Helper()
	v, err := h.store.Fresh(h.t.Context())
	check(h.t, err)
	return v
}

// refused checks an error's reason, and gives the rest of it.
func refused(t *testing.T, err error, want signin.Reason) *signin.Refusal {
	t.Helper()
	r, ok := errors.AsType[*signin.Refusal](err)
	if !ok || r.Reason != want {
		t.Fatalf("got %v, want a refusal: %s", err, want)
	}
	return r
}

func TestCheck(t *testing.T) {
	h := newHouse(t, 0)
	alice := h.user("Alice@lanyard.test", nil)
	h.user("off@lanyard.test", func(u *model.User) { u.Disabled = true })
	h.user("new@lanyard.test", func(u *model.User) { u.MustChange = true })
	for _, name := range []string{"alice", " ALICE@lanyard.test "} {
		if u, err := h.try(name, word); err != nil || u.ObjectID != alice.ObjectID {
			t.Errorf("%q: %v, %v", name, u, err)
		}
	}
	for _, tt := range []struct {
		name, secret string
		reason       signin.Reason
		user         string
		note         string
	}{
		{"alice", "wrong", signin.Wrong, "Alice@lanyard.test", "is wrong"},
		{"alice", "", signin.Wrong, "Alice@lanyard.test", "is wrong"},
		{"alice@elsewhere.test", word, signin.Wrong, "", "No user"},
		{"nobody", word, signin.Wrong, "", "No user"},
		{strings.Repeat("a", signin.MaxName+1), word, signin.Wrong, "", "longer than any"},
		{"alice", strings.Repeat("a", password.MaxBytes+1), signin.Wrong, "", "longer than any"},
		{"off", word, signin.Disabled, "off@lanyard.test", "disabled"},
		{"off", "wrong", signin.Wrong, "off@lanyard.test", "is wrong"},
		{"new", word, signin.MustChange, "new@lanyard.test", "must change"},
	} {
		_, err := h.try(tt.name, tt.secret)
		r := refused(t, err, tt.reason)
		if r.User == nil && tt.user != "" || r.User != nil && r.User.UPN != tt.user || !strings.Contains(r.Note, tt.note) {
			t.Errorf("%.10q with %.10q: %+v", tt.name, tt.secret, r)
		}
	}
}

// Tries at the same moment are counted one by one.
func TestLockOutHoldsInARace(t *testing.T) {
	h := newHouse(t, 0)
	alice := h.user("alice@lanyard.test", nil)
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() { _, _ = h.try("alice", "wrong") })
	}
	all.Wait()
	c, _, ok := store.Get[*model.SignIns](h.view(), model.SignInsKey(alice.ObjectID))
	if !ok || c.Failures != 10 || !c.Locked.After(h.now()) {
		t.Errorf("the count is %+v", c)
	}
	_, err := h.try("alice", word)
	if r := refused(t, err, signin.Wrong); !strings.Contains(r.Note, "locked until") {
		t.Errorf("note %q", r.Note)
	}
	_, err = h.Resume(h.view(), alice.ObjectID, alice.Stamp)
	refused(t, err, signin.Locked)

	h.ahead.Store(int64(2 * time.Minute))
	_, err = h.try("alice", word)
	check(t, err)
	if _, _, ok := store.Get[*model.SignIns](h.view(), model.SignInsKey(alice.ObjectID)); ok {
		t.Error("failures are still counted after a success")
	}
}

// Failures from one address are limited; the right password takes nothing.
func TestFailuresAreLimited(t *testing.T) {
	h := newHouse(t, 3)
	h.user("alice@lanyard.test", nil)
	for range 5 {
		_, err := h.try("alice", word)
		check(t, err)
	}
	for range 3 {
		_, err := h.try("nobody", word)
		refused(t, err, signin.Wrong)
	}
	_, err := h.try("alice", word)
	if r := refused(t, err, signin.TooMany); r.Wait <= 0 {
		t.Errorf("it says to wait for %v", r.Wait)
	}
}

func TestChange(t *testing.T) {
	const next = "another horse battery"
	h := newHouse(t, 0)
	alice := h.user("alice@lanyard.test", func(u *model.User) { u.MustChange = true })
	changed, err := h.Change(t.Context(), alice, next)
	check(t, err)
	if changed.MustChange || changed.Stamp == alice.Stamp || alice.MustChange != true {
		t.Errorf("it gives %+v, and leaves %+v", changed, alice)
	}
	_, err = h.try("alice", word)
	refused(t, err, signin.Wrong)
	_, err = h.try("alice", next)
	check(t, err)
	_, err = h.Resume(h.view(), alice.ObjectID, alice.Stamp)
	refused(t, err, signin.Revoked)
	if _, err := h.Change(t.Context(), alice, word); !errors.Is(err, signin.ErrChanged) {
		t.Errorf("a change of the user as it was: %v", err)
	}
}

// begin makes a session as a grant does.
func (h *house) begin(u *model.User) (token string) {
	h.t.Helper()
	token, _, ops := h.Begin(h.view(), u, strings.ToUpper(client), false, "password")
	_, err := h.store.Commit(h.t.Context(), ops...)
	check(h.t, err)
	return token
}

func (h *house) refresh(token string) (signin.Refreshed, error) {
	h.t.Helper()
	return h.Refresh(h.t.Context(), h.view(), token, client, false)
}

func TestRefresh(t *testing.T) {
	h := newHouse(t, 0)
	alice := h.user("alice@lanyard.test", nil)
	first := h.begin(alice)
	second, err := h.refresh(first)
	check(t, err)
	if second.Token == "" || second.Token == first || second.User.ObjectID != alice.ObjectID || second.Method != "password" {
		t.Fatalf("a refresh gives %+v", second)
	}
	again, err := h.refresh(first) // a process that shares the cache
	check(t, err)
	if again.Token != "" {
		t.Error("the replaced token brings a new one")
	}
	for name, try := range map[string]func() (signin.Refreshed, error){
		"another-client": func() (signin.Refreshed, error) { return h.Refresh(t.Context(), h.view(), second.Token, "else", false) },
		"proven":         func() (signin.Refreshed, error) { return h.Refresh(t.Context(), h.view(), second.Token, client, true) },
		"no-token":       func() (signin.Refreshed, error) { return h.refresh("lrt1..") },
		"no-session":     func() (signin.Refreshed, error) { return h.refresh("lrt1.a.b") },
	} {
		if _, err := try(); err == nil {
			t.Errorf("%s is let in", name)
		} else {
			refused(t, err, signin.Unknown)
		}
	}
	h.ahead.Store(int64(2 * time.Minute))
	_, err = h.refresh(first)
	refused(t, err, signin.Revoked)
	_, err = h.refresh(second.Token)
	refused(t, err, signin.Unknown) // the replay ended the session
}

// A session ends when nobody uses it, and after ninety days in any case.
func TestRefreshEnds(t *testing.T) {
	h := newHouse(t, 0)
	alice := h.user("alice@lanyard.test", nil)
	token := h.begin(alice)
	for range 4 { // every 25 days
		h.ahead.Add(int64(25 * 24 * time.Hour))
		r, err := h.refresh(token)
		if h.ahead.Load() > int64(90*24*time.Hour) {
			refused(t, err, signin.Expired)
			break
		}
		check(t, err)
		token = r.Token
	}
	token = h.begin(alice)
	h.ahead.Add(int64(31 * 24 * time.Hour))
	_, err := h.refresh(token)
	refused(t, err, signin.Expired)
}

// Sign-ins make room for new ones: the one that was used longest ago ends.
func TestSessionsPerUserAreBounded(t *testing.T) {
	h := newHouse(t, 0)
	alice := h.user("alice@lanyard.test", nil)
	first := h.begin(alice)
	for range 40 {
		h.begin(alice)
	}
	n := 0
	for range h.view().Prefix(model.SessionsKey(alice.ObjectID), "") {
		n++
	}
	if n != 40 {
		t.Errorf("%d sessions, want 40", n)
	}
	_, err := h.refresh(first)
	refused(t, err, signin.Unknown)
}

// A browser's token is no refresh token, nor the other way round; it ends when the
// browser signs in anew, signs out, or twelve hours have passed.
func TestBrowser(t *testing.T) {
	h := newHouse(t, 0)
	alice := h.user("alice@lanyard.test", nil)
	remembers := func(token string, want bool) {
		t.Helper()
		if u := h.Remembered(t.Context(), token); (u != nil) != want {
			t.Errorf("it remembers %v, want anybody: %v", u, want)
		}
	}
	first, err := h.Remember(t.Context(), alice, "")
	check(t, err)
	remembers(first, true)
	remembers(first+"x", false)
	remembers("", false)
	remembers(h.begin(alice), false)
	_, err = h.refresh(first)
	refused(t, err, signin.Unknown)

	second, err := h.Remember(t.Context(), alice, first)
	check(t, err)
	remembers(first, false)
	remembers(second, true)
	for _, want := range []string{alice.ObjectID, ""} {
		if id, err := h.Forget(t.Context(), second); err != nil || id != want {
			t.Errorf("forgotten is %q, %v, want %q", id, err, want)
		}
		remembers(second, false)
	}
	third, err := h.Remember(t.Context(), alice, "")
	check(t, err)
	h.ahead.Store(int64(13 * time.Hour))
	remembers(third, false)
}
