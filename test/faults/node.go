package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startLimit is how long a server may take to come up, or to say why it does not,
// and to go down: far more than any needs on a slow machine.
const startLimit = 45 * time.Second

// node is one Lanyard server, the built program.
type node struct {
	program, name, dir string
	addr               string // of its HTTPS listener; it keeps it across restarts
	debug              string
	flags              []string
	limits             []string // a command in front, such as prlimit
	sp                 *spawner

	p    *proc
	http *http.Client // HTTP/1.1, connections kept
}

// command is the server's, not started yet.
func (n *node) command(flags ...string) *exec.Cmd {
	args := append([]string{}, n.limits...)
	args = append(args, n.program, "up", "--data-dir", n.dir, "--listen", n.addr, "--debug", n.debug, "--proxy", "off", "--log-level", "error")
	args = append(append(args, n.flags...), flags...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.dir, "TMPDIR=" + filepath.Dir(n.dir)}
	return cmd
}

// launch starts the server and does not wait for it.
func (n *node) launch(flags ...string) error {
	p, err := n.sp.start(n.command(flags...))
	if err == nil {
		n.p = p
	}
	return err
}

// start starts the server and waits until it says that it is up.
func (n *node) start(flags ...string) error {
	if err := n.launch(flags...); err != nil {
		return err
	}
	if err := n.p.waitFor("lanyard is up", startLimit); err != nil {
		return fmt.Errorf("server %s: %w: %s", n.name, err, n.hangs())
	}
	return nil
}

// hangs is where a server that is not up hangs, or what it said when it has ended.
func (n *node) hangs() string {
	if n.p.ended() {
		return n.p.out.String()
	}
	n.p.signal(syscall.SIGQUIT)
	n.p.wait(5 * time.Second)
	_, stack, _ := strings.Cut(n.p.out.String(), "\ngoroutine 1 ")
	stack, _, _ = strings.Cut(stack, "\n\n")
	var calls []string
	for line := range strings.Lines(stack) {
		if call, ours := strings.CutPrefix(line, "github.com/lanyard-io/lanyard/"); ours {
			call, _, _ = strings.Cut(call, "({")
			calls = append(calls, strings.TrimSpace(call))
		}
	}
	return "it hangs in " + strings.Join(calls, " < ")
}

// stop ends the server as an init system does.
func (n *node) stop(limit time.Duration) error {
	n.p.signal(syscall.SIGTERM)
	if err := n.p.wait(limit); err != nil {
		return fmt.Errorf("server %s, told to stop: %w", n.name, err)
	}
	return nil
}

// run runs another command of the program on the server's data directory.
func (n *node) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, n.program, append(args, "--data-dir", n.dir)...)
	cmd.Env = n.command().Env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// trust makes the node's HTTP client.
func (n *node) trust(caPEM []byte) {
	n.http = httpClient(n.addr, caPEM, false)
}

// httpClient reaches every host name at one address.
func httpClient(addr string, caPEM []byte, http2 bool) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(caPEM)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Protocols: protocols,
		MaxIdleConnsPerHost: 256,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		},
	}}
}

// answer is what came back for one request; err is set when nothing whole did.
type answer struct {
	status int
	id     string // the request's id, of its audit record
	body   []byte
	err    error
}

func (a answer) ok() bool { return a.err == nil && a.status/100 == 2 }

// in reads the answer's body into dst.
func (a answer) in(dst any) error {
	if !a.ok() {
		return errors.New(a.String())
	}
	return json.Unmarshal(a.body, dst)
}

func (a answer) has(code string) bool { return a.err == nil && strings.Contains(string(a.body), code) }

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("HTTP %d: %.200s", a.status, a.body)
}

// request is one request, for any node. A body is JSON, or a form in the text form.
type request struct {
	method, url, token string
	body, form         string
}

// send sends r once: nothing is tried again here.
func (r request) send(ctx context.Context, c *http.Client) answer {
	text, kind := r.body, "application/json"
	if r.form != "" {
		text, kind = r.form, "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(text))
	if err != nil {
		return answer{err: err}
	}
	if text != "" {
		req.Header.Set("Content-Type", kind)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	res, err := c.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	id := res.Header.Get("x-ms-request-id")
	if id == "" {
		id = res.Header.Get("request-id")
	}
	return answer{status: res.StatusCode, id: id, body: b, err: err}
}
