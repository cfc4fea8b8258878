package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/test/clients/serverlog"
)

// How long a server may take to come up or go down, and one client to finish,
// before it counts as stuck: far more than any needs on a slow machine.
const (
	serverLimit = time.Minute
	clientLimit = 2 * time.Minute
)

// server is one `lanyard up` of the built binary.
type server struct {
	bin   string
	home  string // HOME and TMPDIR of every process, empty at the start
	dir   string // data directory
	flags []string

	cmd    *exec.Cmd
	log    *serverlog.Log
	exited chan error
}

// newServer makes a server that start can run, in a directory of its own. The
// name of the data directory has what shells trip over.
func newServer(t *testing.T, flags ...string) *server {
	t.Helper()
	bin := os.Getenv("LANYARD_BIN")
	if bin == "" {
		cannotRun(t, "LANYARD_BIN is not set: use test/clients/run, or make test")
	}
	s := &server{bin: bin, home: t.TempDir(), flags: flags}
	s.dir = filepath.Join(t.TempDir(), "it's data")
	t.Cleanup(func() {
		if s.cmd != nil {
			s.stop(t)
		}
	})
	return s
}

// start runs the server and waits until it is ready.
func (s *server) start(t *testing.T) {
	t.Helper()
	args := []string{"up", "--data-dir", s.dir, "--listen", "127.0.0.1:0", "--proxy", "127.0.0.1:0", "--debug", "off"}
	s.cmd = exec.Command(s.bin, append(args, s.flags...)...)
	s.log = serverlog.New()
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.environment(), s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.exited = make(chan error, 1)
	go func() { s.exited <- s.cmd.Wait() }()
	select {
	case <-s.log.Up():
	case err := <-s.exited:
		s.cmd = nil
		t.Fatalf("lanyard up: %v\n%s", err, s.log)
	case <-time.After(serverLimit):
		t.Fatalf("lanyard up is not ready\n%s", s.log)
	}
}

// stop ends the server as an init system does. It must exit well, must have
// logged no error, and leave nothing outside its data directory.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	err := s.wait(t)
	if err != nil {
		t.Errorf("lanyard up, told to stop: %v", err)
	}
	if text := s.log.String(); strings.Contains(text, "level=ERROR") || strings.Contains(text, "panic") {
		t.Errorf("the server logged an error")
	}
	left, err := os.ReadDir(s.home)
	if err != nil {
		t.Error(err)
	}
	for _, f := range left {
		t.Errorf("left behind: %s", f.Name())
	}
	if t.Failed() {
		t.Logf("the server's log, without what went well:\n%s", s.log.Unusual())
	}
}

// kill ends the server as a power failure does.
func (s *server) kill(t *testing.T) {
	t.Helper()
	s.cmd.Process.Kill()
	s.wait(t)
}

func (s *server) wait(t *testing.T) error {
	t.Helper()
	defer func() { s.cmd = nil }()
	select {
	case err := <-s.exited:
		return err
	case <-time.After(serverLimit):
		s.cmd.Process.Kill()
		t.Error("the server does not stop")
		return <-s.exited
	}
}

// environment is all that the server and the command line get.
func (s *server) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "TMPDIR=" + s.home}
}

// lanyard runs one command of the command line, and reads its JSON into answer
// unless that is nil.
func (s *server) lanyard(t *testing.T, answer any, args ...string) {
	t.Helper()
	s.lanyardIn(t, "", answer, args...)
}

func (s *server) lanyardIn(t *testing.T, stdin string, answer any, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bin, append(args, "--data-dir", s.dir, "-o", "json")...)
	var stderr bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stderr = s.environment(), strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("lanyard %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("lanyard %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// clientEnvironment is what a shell has after `eval "$(lanyard env --java)"`.
func (s *server) clientEnvironment(t *testing.T) []string {
	t.Helper()
	const script = `lines=$("$1" env --java --data-dir "$2") && eval "$lines" && exec env -0`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script, "sh", s.bin, s.dir)
	cmd.Env = s.environment()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("lanyard env: %v", err)
	}
	var env []string
	for v := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "PWD", "OLDPWD", "SHLVL", "_": // the shell's own
		default:
			env = append(env, v)
		}
	}
	return env
}

// cannotRun skips the test, for everybody but CI, which may skip nothing.
func cannotRun(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("*** NOT RUN: " + why)
}
