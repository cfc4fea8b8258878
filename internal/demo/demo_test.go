package demo_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/demo"
	"github.com/lanyard-io/lanyard/internal/quickstart"
)

// The test's own program is the workload when it is started with this argument.
const workloadArg = "-run-the-workload"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == workloadArg {
		os.Exit(workload())
	}
	os.Exit(m.Run())
}

func workload() int {
	c, err := quickstart.FromEnv(os.Getenv)
	if err == nil {
		err = quickstart.Run(context.Background(), c)
	}
	if err == nil {
		return 0
	}
	// As the command line does, which says how to look a refusal up.
	text := err.Error()
	os.Stderr.WriteString(text + "\n")
	if found := regexp.MustCompile(`Correlation ID: ([0-9a-f-]{36})`).FindStringSubmatch(text); found != nil {
		os.Stderr.WriteString("hint: lanyard explain " + found[1] + "\n")
	}
	return 1
}

func show(t *testing.T, color bool) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = demo.Run(t.Context(), demo.Config{Out: &out, Color: color, Workload: []string{self, workloadArg}})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return out.String()
}

func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	began := time.Now()
	out := show(t, false)

	if steps := regexp.MustCompile(`(?m)^ ?\d+  \S`).FindAllString(out, -1); len(steps) != 10 {
		t.Errorf("%d numbered lines, want 10:\n%s", len(steps), out)
	}
	if !regexp.MustCompile(`main\.go:63\] "successfully got secret" secret="LevelUp Lab Secret\\\\!"`).MatchString(out) {
		t.Errorf("the workload's line is missing:\n%s", out)
	}
	for _, code := range []string{"AADSTS700213", "AADSTS700024", "AADSTS7000272"} {
		if strings.Count(out, "refused, "+code+"\n") != 1 {
			t.Errorf("want one refusal with %s:\n%s", code, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("there is colour that nobody asked for")
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if n := children(t); n != 0 {
		t.Errorf("%d processes were left behind", n)
	}
	t.Logf("it took %s", time.Since(began).Round(time.Millisecond))
}

func TestDemoInColour(t *testing.T) {
	t.Parallel()
	out := show(t, true)
	if !strings.Contains(out, "\x1b[32m") || strings.Count(out, "\x1b[31mrefused") != 3 || strings.Count(out, "\x1b[") != 2*4 {
		t.Errorf("want the secret in green and three refusals in red: %q", out)
	}
}

// A demo that is broken off cleans up too.
func TestDemoBrokenOff(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	out := &cutter{after: "trust the cluster", cut: cancel}
	if err := demo.Run(ctx, demo.Config{Out: out, Workload: []string{"/bin/true"}}); err == nil {
		t.Error("no error")
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A workload that gets nothing, or something else, is an error and not a show.
func TestDemoTellsTheTruth(t *testing.T) {
	t.Parallel()
	for _, workload := range []string{"/bin/true", "/no/such/program"} {
		var out bytes.Buffer
		err := demo.Run(t.Context(), demo.Config{Out: &out, Workload: []string{workload}})
		if err == nil || !strings.Contains(err.Error(), "step 7:") || strings.Contains(out.String(), "Done in") {
			t.Errorf("%s: %v\n%s", workload, err, out.String())
		}
	}
}

// cutter calls cut when it is told to write a certain text.
type cutter struct {
	after string
	cut   func()
}

func (c *cutter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.after) {
		c.cut()
	}
	return len(p), nil
}

// children counts this process's children, where /proc tells.
func children(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range lists {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		n += len(strings.Fields(string(b)))
	}
	return n
}
