package cluster_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// shell is a person's, in a cluster's network.
type shell struct {
	t       *testing.T
	cluster *cluster
	bin     string // the built binary
	home    string
	env     []string
}

// server is one `lanyard up` of the built binary, and the shell of the person
// who runs it.
type server struct {
	*shell
	data  string // its data directory
	flags []string

	process *process
}

func newShell(t *testing.T, c *cluster) *shell {
	t.Helper()
	s := &shell{t: t, cluster: c, bin: os.Getenv("LANYARD_BIN"), home: t.TempDir()}
	if s.bin == "" {
		cannotRun(t, "LANYARD_BIN is not set: use test/cluster/run, or make test")
	}
	s.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "TMPDIR=" + t.TempDir()}
	return s
}

// newServer starts a server for a test. More flags than these are of `up`.
func newServer(t *testing.T, c *cluster, flags ...string) *server {
	t.Helper()
	s := &server{shell: newShell(t, c), data: filepath.Join(t.TempDir(), "data"), flags: flags}
	s.env = append(s.env, "LANYARD_DATA_DIR="+s.data)
	t.Cleanup(func() { s.stop() })
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	args := append([]string{"up", "--listen", "127.0.0.1:0", "--proxy", "127.0.0.1:0", "--debug", "off"}, s.flags...)
	s.process = s.cluster.run(s.t, s.env, "lanyard is up", s.bin, args...)
}

// stop ends the server, which must have logged no error.
func (s *server) stop() {
	s.t.Helper()
	if s.process == nil {
		return
	}
	s.process.stop(s.t)
	if log := s.process.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "panic") || s.t.Failed() {
		s.t.Logf("the server's log, without what went well:\n%s", unusual(log))
		if !s.t.Failed() {
			s.t.Error("the server logged an error")
		}
	}
	s.process = nil
}

// lanyard runs a command that must succeed, and reads its JSON into answer
// unless that is nil.
func (s *shell) lanyard(answer any, args ...string) {
	s.t.Helper()
	out := s.must(s.bin, append(args, "-o", "json")...)
	if answer == nil {
		return
	}
	if err := json.Unmarshal([]byte(out), answer); err != nil {
		s.t.Fatalf("lanyard %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// must runs a command that must succeed in the person's shell, and gives its
// standard output.
func (s *shell) must(name string, args ...string) string {
	s.t.Helper()
	out, errs, err := s.try(name, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out, errs)
	}
	return out
}

func (s *shell) try(name string, args ...string) (out, errs string, err error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), commandLimit)
	defer cancel()
	cmd := s.cluster.command(ctx, name, args...)
	cmd.Env, cmd.Dir = s.env, s.home
	begun := time.Now()
	out, errs, err = output(cmd)
	s.t.Logf("%5.2fs  %s %s", time.Since(begun).Seconds(), filepath.Base(name), strings.Join(args, " "))
	return out, errs, err
}

// state is what the server says of itself.
type state struct{ Address, Listen, TenantID, SubscriptionID string }

func (s *server) state() (v state) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.data, "server.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		s.t.Fatal(err)
	}
	return v
}

// exchange presents a token as a client's assertion, and gives the refusal, or
// nothing when it gets an access token. The server listens on loopback.
func (s *server) exchange(clientID, token string) (refusal string) {
	s.t.Helper()
	ca, err := os.ReadFile(filepath.Join(s.data, "ca.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	now := s.state()
	client := http.Client{Timeout: commandLimit, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, now.Listen)
		},
	}}
	defer client.CloseIdleConnections()
	resp, err := client.PostForm("https://login."+now.Address+"/"+now.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "scope": {"https://vault." + now.Address + "/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {token},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || (answer.AccessToken == "") == (answer.Description == "") {
		s.t.Fatalf("the answer to an exchange, %d, is no token and no refusal: %v", resp.StatusCode, err)
	}
	return answer.Description
}

// process is a program that runs in a cluster's network until the test ends.
type process struct {
	cmd    *exec.Cmd
	log    *processLog
	exited chan struct{}
	err    error // of its end; read after exited is closed
}

// run starts a program, and waits until it writes what it writes when it is ready.
func (c *cluster) run(t *testing.T, env []string, ready, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: c.command(context.WithoutCancel(t.Context()), name, args...), exited: make(chan struct{})}
	p.log = &processLog{wanted: ready, up: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() { p.stop(t) })
	select {
	case <-p.log.up:
	case <-p.exited:
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), p.err, p.log)
	case <-time.After(commandLimit):
		t.Fatalf("%s does not say %q\n%s", filepath.Base(name), ready, p.log)
	}
	return p
}

// kill ends the program, however it takes it.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

// stop ends the program as an init system does; it must end well. Once more
// does nothing.
func (p *process) stop(t *testing.T) {
	t.Helper()
	select {
	case <-p.exited:
		return
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		if p.err != nil {
			t.Errorf("%s, told to stop: %v\n%s", p.cmd.Args[1], p.err, p.log)
		}
	case <-time.After(commandLimit):
		p.cmd.Process.Kill()
		<-p.exited
		t.Errorf("%s does not stop", p.cmd.Args[1])
	}
}

// processLog keeps what a program writes, and notices what is waited for.
type processLog struct {
	wanted string
	up     chan struct{} // closed when it was written

	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
	said bool         // guarded by mu
}

func (l *processLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.text.Write(p)
	if !l.said && bytes.Contains(l.text.Bytes(), []byte(l.wanted)) {
		l.said = true
		close(l.up)
	}
	return n, err
}

func (l *processLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// unusual is the last of a log, without the requests that went well.
func unusual(log string) string {
	var lines []string
	for line := range strings.Lines(log) {
		well := strings.Contains(line, "handled request") && strings.Contains(line, " status=2") || strings.Contains(line, "level=INFO msg=\"reviewed pod\"")
		if !well {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-40):], "")
}
