package az_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// commandLimit is when a command counts as stuck: far more than any needs on a
// slow machine.
const commandLimit = 2 * time.Minute

// lab is one server, and one user who has az and nothing else.
type lab struct {
	t       *testing.T
	lanyard string // the built binary
	az      string // a real az
	data    string // the server's data directory
	home    string // the user's
	env     []string
	cluster *cluster
	log     *bytes.Buffer // of the server; read after its end
}

// newLab starts a server. The user's shell has what `lanyard env` prints, and an
// az that has never run.
func newLab(t *testing.T, az string, flags ...string) *lab {
	t.Helper()
	l := &lab{t: t, lanyard: os.Getenv("LANYARD_BIN"), az: az, home: t.TempDir(), cluster: newCluster(t), log: new(bytes.Buffer)}
	l.data = filepath.Join(t.TempDir(), "data")
	if l.lanyard == "" {
		t.Fatal("LANYARD_BIN is not set: use test/clients/az/run, or make test")
	}
	l.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.home, "TMPDIR=" + t.TempDir(), "AZURE_CONFIG_DIR=" + filepath.Join(l.home, ".azure"),
		"AZURE_CORE_COLLECT_TELEMETRY=0", "AZURE_EXTENSION_USE_DYNAMIC_INSTALL=no", "AZURE_CORE_NO_COLOR=1",
	}
	l.up(flags...)
	for line := range strings.Lines(l.run(nil, l.lanyard, "env", "--data-dir", l.data)) {
		if !strings.HasPrefix(line, "export ") {
			continue // it keeps what the variable was
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		l.env = append(l.env, name+"="+strings.Trim(value, "'"))
	}
	return l
}

// up runs the server until the test ends.
func (l *lab) up(flags ...string) {
	l.t.Helper()
	cmd := exec.Command(l.lanyard, append([]string{"up", "--data-dir", l.data,
		"--listen", "127.0.0.1:0", "--proxy", "127.0.0.1:0", "--debug", "off"}, flags...)...)
	ready := &readiness{to: l.log, up: make(chan struct{})}
	cmd.Env, cmd.Stdout, cmd.Stderr = l.env, ready, ready
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	l.t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(commandLimit):
			cmd.Process.Kill()
			<-exited
			l.t.Error("the server does not stop")
		}
		if l.t.Failed() {
			l.t.Logf("the server's log, without what went well:\n%s", unusual(l.log.String()))
		}
	})
	select {
	case <-ready.up:
	case err := <-exited:
		l.t.Fatalf("lanyard up: %v\n%s", err, l.log.String())
	case <-time.After(commandLimit):
		l.t.Fatal("lanyard up is not ready")
	}
}

// readiness keeps what the server writes, and sees when it is ready. One
// goroutine of os/exec writes to it.
type readiness struct {
	to *bytes.Buffer
	up chan struct{}
	is bool
}

func (r *readiness) Write(b []byte) (int, error) {
	r.to.Write(b)
	if !r.is && bytes.Contains(r.to.Bytes(), []byte("msg=ready")) {
		r.is = true
		close(r.up)
	}
	return len(b), nil
}

// unusual is a log without the requests that went well.
func unusual(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "handled request") || !strings.Contains(line, " status=2") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// run runs a command that must succeed, and gives its standard output.
func (l *lab) run(more []string, name string, args ...string) string {
	l.t.Helper()
	out, errs, err := l.try(more, name, args...)
	if err != nil {
		l.t.Fatalf("%s: %v\n%s%s", line(name, args), err, out, errs)
	}
	return out
}

func (l *lab) try(more []string, name string, args ...string) (out, errs string, err error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = append(l.env[:len(l.env):len(l.env)], more...), l.home, &stdout, &stderr
	begun := time.Now()
	err = cmd.Run()
	l.t.Logf("%5.2fs  %s", time.Since(begun).Seconds(), line(name, args))
	return stdout.String(), stderr.String(), err
}

// line is a command for the log, without what signs in.
func line(name string, args []string) string {
	words := []string{filepath.Base(name)}
	for i, arg := range args {
		if i > 0 && (args[i-1] == "-p" || args[i-1] == "--federated-token") {
			arg = "***"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// ok runs an az line that must succeed, with warnings but no errors.
func (l *lab) ok(args ...string) string {
	l.t.Helper()
	return strings.TrimSpace(l.run(nil, l.az, args...))
}

// json runs an az line that must print one JSON value.
func (l *lab) json(args ...string) (v any) {
	l.t.Helper()
	out := l.ok(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		l.t.Fatalf("az %s: %v in %q", strings.Join(args, " "), err, out)
	}
	return v
}

// fails runs an az line that must fail, and say why.
func (l *lab) fails(want string, args ...string) {
	l.t.Helper()
	out, errs, err := l.try(nil, l.az, args...)
	if err == nil {
		l.t.Fatalf("%s succeeds, want a failure\n%s", line("az", args), out)
	}
	if !strings.Contains(errs, want) {
		l.t.Errorf("%s says\n%s\nwant %q in it", line("az", args), errs, want)
	}
}

// is checks a value in what az printed; path is dotted.
func (l *lab) is(v any, path string, want any) {
	l.t.Helper()
	if got := at(v, path); got != want {
		l.t.Errorf("%s is %v, want %v", path, got, want)
	}
}

// text is a non-empty string in what az printed.
func (l *lab) text(v any, path string) string {
	l.t.Helper()
	s, _ := at(v, path).(string)
	if s == "" {
		l.t.Fatalf("%s is missing in %v", path, v)
	}
	return s
}

func at(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}
