package server_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// answer is what a plain listener says.
func answer(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// A first start with the clock ahead does no lasting harm: when it is set right,
// connections, the admin's sign-in and secrets work.
func TestClockAheadAtTheFirstStart(t *testing.T) {
	t.Parallel()
	c := local(t.TempDir())
	c.Debug = "127.0.0.1:0"
	clock := newClock()
	clock.advance(40 * 24 * time.Hour)
	c.Now = clock.now
	r := start(t, c)
	clock.advance(-40 * 24 * time.Hour)
	set(t, r.vault("kv-dev"), "one", "after the clock was set right")
	if status, body := answer(t, r.State().Debug, "/readyz"); status != 200 {
		t.Errorf("/readyz = %d %s", status, body)
	}
	r.stop()
	second := start(t, c)
	if got := get(t, second.secrets("kv-dev"), "one"); got != "after the clock was set right" {
		t.Errorf("the secret is %q", got)
	}
	if status, body := answer(t, second.State().Debug, "/readyz"); status != 200 || strings.Contains(body, "warnings") {
		t.Errorf("/readyz = %d %s after a restart", status, body)
	}
	clock.advance(-30 * time.Minute)
	if status, body := answer(t, second.State().Debug, "/readyz"); status != 200 || !strings.Contains(body, `"name":"clock"`) {
		t.Errorf("/readyz = %d %s, want a warning of the clock", status, body)
	}
}

func TestReadyzSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	c := local(t.TempDir())
	c.Debug, c.Health, c.Metrics = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.TLSCert, c.TLSKey = operatorFiles(t, ownNames...)
	clock := newClock()
	c.Now = clock.now
	r := start(t, c)
	want := func(status int, words ...string) {
		t.Helper()
		clock.advance(11 * time.Second)
		got, body := answer(t, r.State().Debug, "/readyz")
		if got != status {
			t.Errorf("/readyz = %d, want %d: %s", got, status, body)
		}
		for _, w := range words {
			if !strings.Contains(body, w) {
				t.Errorf("/readyz does not say %q: %s", w, body)
			}
		}
	}
	want(200, `{"ok":true}`)

	good, goodKey := read(t, c.TLSCert), read(t, c.TLSKey)
	bad, badKey := operatorFiles(t, "other.example")
	write(t, c.TLSKey, string(read(t, badKey)), 0o600)
	write(t, c.TLSCert, string(read(t, bad)), 0o644)
	want(200, `"ok":true`, `"name":"certificate-renewal"`, "it is not for login.lanyard.localhost")
	_, metrics := answer(t, r.State().Metrics, "/metrics")
	for _, line := range []string{
		`lanyard_certificate_end_timestamp_seconds{of="server"} `, "lanyard_certificate_renewal_failed 1",
		"lanyard_store_last_touch_timestamp_seconds ",
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no %q in the metrics", line)
		}
	}
	write(t, c.TLSKey, string(goodKey), 0o600)
	write(t, c.TLSCert, string(good), 0o644)
	want(200, `{"ok":true}`)

	audit := filepath.Join(c.DataDir, "audit")
	if err := os.Rename(audit, audit+".away"); err != nil {
		t.Fatal(err)
	}
	want(503, `"name":"audit"`, "no such file")
	if _, body := answer(t, r.State().Health, "/readyz"); !strings.Contains(body, `{"name":"audit"}`) {
		t.Errorf("the open listener says %s", body)
	}
	if err := os.Rename(audit+".away", audit); err != nil {
		t.Fatal(err)
	}
	want(200, `{"ok":true}`)

	clock.advance(2 * time.Hour)
	want(503, `"name":"certificate"`, "it ended on")
}
