package az_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browser is a real one, Chromium, with scripts turned off, driven over WebDriver.
// https://www.w3.org/TR/webdriver2/
type browser struct {
	t       *testing.T
	session string // URL
}

// newBrowser starts a browser that finds the server's names at the lab's listener
// and trusts its certificate, and nothing more.
func (l *lab) newBrowser() *browser {
	l.t.Helper()
	driver := os.Getenv("LANYARD_CHROMEDRIVER")
	if driver == "" {
		l.t.Skip("NOT RUN: no browser; use test/clients/az/run, or make test")
	}
	cmd := exec.Command(driver, "--port=0")
	started := &watch{pattern: regexp.MustCompile(`started successfully on port (\d+)`), found: make(chan string, 1)}
	cmd.Stdout, cmd.Env = started, append(os.Environ(), "HOME="+l.home, "TMPDIR="+l.t.TempDir())
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	b := &browser{t: l.t, session: "http://127.0.0.1:" + started.wait(l.t) + "/session"}
	state := l.state()
	var made struct {
		ID string `json:"sessionId"`
	}
	b.call("POST", "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"browserName": "chrome",
		"goog:chromeOptions": map[string]any{
			"args": []string{
				"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server", "--window-size=900,760",
				"--user-data-dir=" + l.t.TempDir(),
				"--host-resolver-rules=MAP login." + state.Address + ":443 " + state.Listen + ",EXCLUDE localhost,MAP * ~NOTFOUND",
				"--ignore-certificate-errors-spki-list=" + l.spki(),
			},
			"prefs": map[string]any{"profile.managed_default_content_settings.javascript": 2, "profile.default_content_setting_values.javascript": 2},
		},
	}}}, &made)
	b.session += "/" + made.ID
	l.t.Cleanup(func() { b.call("DELETE", "", nil, nil) })
	b.call("POST", "/timeouts", map[string]any{"implicit": 20_000}, nil)
	return b
}

// state is where the server listens.
func (l *lab) state() (s struct{ Address, Listen string }) {
	l.t.Helper()
	b, err := os.ReadFile(filepath.Join(l.data, "server.json"))
	if err != nil {
		l.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// spki is the hash of the server's key, once its certificate is known to be of
// the server's CA: the browser is told to trust that one key.
func (l *lab) spki() string {
	l.t.Helper()
	pem, err := os.ReadFile(filepath.Join(l.data, "ca.pem"))
	if err != nil {
		l.t.Fatal(err)
	}
	roots, state := x509.NewCertPool(), l.state()
	roots.AppendCertsFromPEM(pem)
	conn, err := tls.Dial("tcp", state.Listen, &tls.Config{RootCAs: roots, ServerName: "login." + state.Address})
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// call is one WebDriver command that must succeed.
func (b *browser) call(method, path string, body, value any) {
	b.t.Helper()
	if err := b.try(method, path, body, value); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) try(method, path string, body, value any) error {
	b.t.Helper()
	var in io.Reader
	if method == http.MethodPost {
		if body == nil {
			body = struct{}{}
		}
		data, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		in = bytes.NewReader(data)
	}
	r, err := http.NewRequest(method, b.session+path, in)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := (&http.Client{Timeout: commandLimit, Transport: &http.Transport{}}).Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Value json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the browser refuses %s %s: %.600s", method, path, out.Value)
	}
	if value != nil {
		return json.Unmarshal(out.Value, value)
	}
	return nil
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.call("POST", "/url", map[string]string{"url": url}, nil)
}

// find waits for an element.
func (b *browser) find(css string) string {
	b.t.Helper()
	var element map[string]string
	b.call("POST", "/element", map[string]string{"using": "css selector", "value": css}, &element)
	for _, id := range element {
		return "/element/" + id
	}
	b.t.Fatalf("no element %s", css)
	return ""
}

func (b *browser) typeIn(css, text string) {
	b.t.Helper()
	field := b.find(css)
	b.call("POST", field+"/clear", nil, nil)
	b.call("POST", field+"/value", map[string]string{"text": text}, nil)
}

func (b *browser) click(css string) {
	b.t.Helper()
	b.call("POST", b.find(css)+"/click", nil, nil)
}

// sees checks an element's text.
func (b *browser) sees(css, want string) {
	b.t.Helper()
	var got string
	for range 100 { // the page that a click leads to may still be on its way
		if b.try("GET", b.find(css)+"/text", nil, &got) == nil && strings.Contains(got, want) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.t.Errorf("the browser shows %q, want %q", got, want)
}

// picture keeps a screenshot, for people, when LANYARD_SCREENSHOTS names a folder.
func (b *browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("LANYARD_SCREENSHOTS")
	if dir == "" {
		return
	}
	var data []byte // base64 in JSON
	b.call("GET", "/screenshot", nil, &data)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o600); err != nil {
		b.t.Error(err)
	}
}

// watch looks for something in what a command writes, and keeps all of it.
type watch struct {
	pattern *regexp.Regexp
	found   chan string // room for one
	all     bytes.Buffer
	is      bool
}

func (w *watch) Write(b []byte) (int, error) {
	w.all.Write(b)
	if m := w.pattern.FindSubmatch(w.all.Bytes()); m != nil && !w.is {
		w.is = true
		w.found <- string(m[1])
	}
	return len(b), nil
}

func (w *watch) wait(t *testing.T) string {
	t.Helper()
	select {
	case s := <-w.found:
		return s
	case <-time.After(commandLimit):
		t.Fatal(fmt.Errorf("nothing like %s came", w.pattern))
	}
	return ""
}
