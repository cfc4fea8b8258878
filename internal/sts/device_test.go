package sts_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

func (w *world) device(pairs ...string) (code, userCode string) {
	w.t.Helper()
	v := url.Values{"client_id": {azCLI}, "scope": {arm + "//.default offline_access openid profile"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	p := w.post(codeURL, v.Encode())
	var d struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		Page     string `json:"verification_uri"`
		Message  string `json:"message"`
		Expires  int    `json:"expires_in"`
		Interval int    `json:"interval"`
	}
	if p.status != http.StatusOK {
		w.t.Fatalf("got %d %s, want a device code", p.status, p.raw)
	}
	check(w.t, json.Unmarshal([]byte(p.raw), &d))
	if d.Page != pageURL || d.Expires != 900 || d.Interval != 5 || !strings.Contains(d.Message, d.User) || len(d.User) != 9 {
		w.t.Errorf("answer %s", p.raw)
	}
	return d.Device, d.User
}

func polling(code string, pairs ...string) string {
	return form(append([]string{"grant_type", "urn:ietf:params:oauth:grant-type:device_code", "client_id", azCLI, "device_code", code, "code", code, "scope", ""}, pairs...)...)
}

func TestDeviceCode(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user(aliceUPN, word)
	code, userCode := w.device()
	w.refused(w.post(orgURL, polling(code)), 400, "authorization_pending", 70016)
	w.refused(w.post(orgURL, polling(code)), 400, "slow_down", 70016)
	w.Ahead.Store(int64(6 * time.Second))
	w.refused(w.post(orgURL, polling(code)), 400, "authorization_pending", 70016)
	w.refused(w.post(orgURL, polling(code, "client_id", "1950a258-227b-4e31-a9cf-717495945fc2")), 400, "invalid_grant", 70000)
	w.refused(w.post(orgURL, polling("x")), 400, "invalid_grant", 70000)

	b := w.browser()
	page := b.open(pageURL)
	page = b.submit(page, "user_code", strings.ToLower(userCode[:4]+"-"+userCode[4:]))
	if !strings.Contains(page.body, "Azure CLI") || !strings.Contains(page.body, "127.0.0.1") {
		t.Errorf("the page does not say who asks:\n%s", page.body)
	}
	page = b.submit(page, "username", aliceUPN, "password", "wrong", "action", "signin")
	if page.status != 400 || !strings.Contains(page.body, "not right") {
		t.Errorf("a wrong password: %d\n%s", page.status, page.body)
	}
	page = b.submit(page, "username", aliceUPN, "password", word, "action", "signin")
	if page.status != 200 || !strings.Contains(page.body, "You have signed in to Azure CLI") {
		t.Fatalf("the page says %d\n%s", page.status, page.body)
	}

	p := w.post(orgURL, polling(code))
	if c := w.issued(p); c.ObjectID != alice.ObjectID || c.Audience != arm+"/" {
		t.Errorf("claims %+v", c)
	}
	if u := w.extra(p); u.Refresh == "" || u.ID == "" || u.Scope == "" {
		t.Errorf("answer %s", p.raw)
	}
	w.refused(w.post(orgURL, polling(code)), 400, "invalid_grant", 70000) // once

	again := b.submit(b.open(pageURL), "user_code", userCode)
	if again.status != 400 || !strings.Contains(again.body, "No device waits") {
		t.Errorf("a used code: %d\n%s", again.status, again.body)
	}
	// The browser remembers the user: one click is enough, and it may be "no".
	code, userCode = w.device()
	page = b.submit(b.open(pageURL), "user_code", userCode)
	if !strings.Contains(page.body, "You are signed in as <b>"+aliceUPN) {
		t.Errorf("the page does not remember:\n%s", page.body)
	}
	b.submit(page, "action", "cancel")
	w.refused(w.post(orgURL, polling(code)), 400, "authorization_declined", 70018)
	code, _ = w.device()
	w.Ahead.Add(int64(16 * time.Minute))
	w.refused(w.post(orgURL, polling(code)), 400, "expired_token", 70020)
}

// One address cannot fill the store with codes that nobody uses.
func TestDeviceCodesAreLimited(t *testing.T) {
	w := newWorld(t, nil)
	for _, bad := range []string{"scope=openid", "client_id=" + azCLI, "client_id=x&scope=openid", "client_id=" + azCLI + "&scope=https%3A%2F%2Felse%2F.default"} {
		if p := w.post(codeURL, bad); p.status != 400 {
			t.Errorf("%s: %d %s", bad, p.status, p.raw)
		}
	}
	var last *reply
	for range 40 {
		last = w.post(codeURL, "client_id="+azCLI+"&scope=openid")
	}
	throttled(t, last)
}

// Nor can one with many addresses.
func TestWaitingDevicesOfOneSiteAreLimited(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 400 {
		w.put(&model.DeviceCode{
			ID: model.TokenID(fmt.Sprint(i)), UserCode: fmt.Sprint("CODE", i), ClientID: azCLI, Remote: fmt.Sprintf("2001:db8:1:%x::1", i), Expires: w.Now().Add(time.Minute),
		})
	}
	if status := w.from("2001:db8:1:ffff::1", codeURL, "client_id="+azCLI+"&scope=openid").StatusCode; status != http.StatusTooManyRequests {
		t.Errorf("one more of the site gets %d, want 429", status)
	}
	if status := w.from("2001:db8:2::1", codeURL, "client_id="+azCLI+"&scope=openid").StatusCode; status != http.StatusOK {
		t.Errorf("one of another site gets %d, want 200", status)
	}
}

// A code that is guessed beyond the limit is not found, though it is right.
func TestGuessesAtDeviceCodesAreLimited(t *testing.T) {
	w := newWorld(t, nil)
	_, userCode := w.device()
	b := w.browser()
	page := b.open(pageURL)
	for range 40 {
		page = b.submit(b.open(pageURL), "user_code", "BBBBBBBBB")
	}
	if page.status != http.StatusTooManyRequests || !strings.Contains(page.body, "Too many device codes") {
		t.Errorf("the 40th guess gets %d\n%s", page.status, page.body)
	}
	if page = b.submit(b.open(pageURL), "user_code", userCode); page.status != http.StatusTooManyRequests {
		t.Errorf("a right one gets %d\n%s", page.status, page.body)
	}
	w.Ahead.Add(int64(time.Minute))
	if page = b.submit(b.open(pageURL), "user_code", userCode); page.status != http.StatusOK {
		t.Errorf("a minute later it gets %d\n%s", page.status, page.body)
	}
}
