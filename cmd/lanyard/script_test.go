package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lanyard": main})
}

// Each script in testdata/script has a home of its own, and so a data directory.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up": up, "down": down, "load": load, "jsonget": jsonGet, "match": match, "filesize": fileSize,
			"issuer": startIssuer, "satoken": serviceAccountToken, "mode": mode, "oneline": oneLine, "arm": callARM,
			"etcd": startEtcd, "apiserver": startAPIServer, "utf16": toUTF16,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("DATA", filepath.Join(e.WorkDir, "home", ".lanyard"))
			e.Values[worldKey{}] = &world{}
			return os.Mkdir(filepath.Join(e.WorkDir, "home"), 0o700)
		},
	})
}

type worldKey struct{}

// world is what a script has running.
type world struct {
	server *exec.Cmd
	log    chan string // the rest of the server's stderr, when it has ended
	issuer *devissuer.Issuer
}

// up [flags]: start the server and wait until it says that it is up. The log is
// compared by nobody; a flag given here overrides the free ports.
func up(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("use ! exec lanyard up")
	}
	w := ts.Value(worldKey{}).(*world)
	args = append([]string{"up", "--listen", "127.0.0.1:0", "--proxy", "127.0.0.1:0", "--debug", "off"}, args...)
	path, err := exec.LookPath(filepath.Join(strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator))[0], "lanyard"))
	ts.Check(err)
	cmd := exec.Command(path, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "TMPDIR", "LANYARD_ADDRESS", "LANYARD_CONFIG", "LANYARD_DATA_DIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	w.server, w.log = cmd, make(chan string, 1)
	ts.Defer(func() { stop(w) })

	lines, head := bufio.NewScanner(stderr), ""
	for lines.Scan() {
		head += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "in another shell: ") {
			fmt.Fprint(ts.Stdout(), head)
			go func() {
				rest, _ := io.ReadAll(stderr)
				w.log <- string(rest)
			}()
			return
		}
	}
	w.log <- ""
	ts.Fatalf("the server did not start:\n%s", head)
}

// stop ends the server as ctrl-c would, and gives its log.
func stop(w *world) (log string, err error) {
	if w.server == nil {
		return "", nil
	}
	cmd := w.server
	w.server = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	log = <-w.log
	return log, cmd.Wait()
}

// down: stop the server, which must end well. Its log becomes stdout.
func down(ts *testscript.TestScript, _ bool, _ []string) {
	log, err := stop(ts.Value(worldKey{}).(*world))
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), log)
}

// load: take the variables of `lanyard env`, which stdout holds, as the shell would.
func load(ts *testscript.TestScript, _ bool, _ []string) {
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if strings.HasPrefix(line, "[ ") { // what the variable was
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if !ok {
			ts.Fatalf("not an export: %s", line)
		}
		ts.Setenv(name, strings.Trim(value, "'"))
	}
}

// jsonget VARIABLE PATH: set a variable to a value of the JSON in stdout; the
// path is names and indexes with dots between them, and len for a length.
func jsonGet(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for _, step := range strings.Split(args[1], ".") {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[step]
			if !ok {
				ts.Fatalf("no %q in %v", step, x)
			}
			v = next
		case []any:
			if step == "len" {
				v = len(x)
				continue
			}
			i, err := strconv.Atoi(step)
			ts.Check(err)
			v = x[i]
		default:
			ts.Fatalf("%q: %v has no parts", step, v)
		}
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// match VARIABLE FILE REGEXP: set a variable to the first submatch in a file,
// stdout or stderr.
func match(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if found == nil {
		ts.Fatalf("no %s in %s", args[2], args[1])
	}
	ts.Setenv(args[0], found[1])
}

// filesize FILE BYTES: make a file of that many letters.
func fileSize(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat("a", n)), 0o600))
}

// issuer: play a cluster; $ISSUER is its URL and cluster-ca.pem its CA.
func startIssuer(ts *testscript.TestScript, _ bool, _ []string) {
	i, err := devissuer.Start()
	ts.Check(err)
	ts.Defer(func() { i.Close() })
	ts.Value(worldKey{}).(*world).issuer = i
	ts.Setenv("ISSUER", i.URL)
	ts.Check(os.WriteFile(ts.MkAbs("cluster-ca.pem"), i.CA, 0o600))
}

// etcd: run an etcd as an operator's own; $ETCD is its endpoint.
func startEtcd(ts *testscript.TestScript, _ bool, _ []string) {
	endpoint, stop, err := storetest.StartExternal(ts.MkAbs("etcd"))
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("ETCD", endpoint)
}

// satoken NAMESPACE ACCOUNT FILE: write a service account's token, as the kubelet would.
func serviceAccountToken(ts *testscript.TestScript, _ bool, args []string) {
	token, err := ts.Value(worldKey{}).(*world).issuer.Token(args[0], args[1], "api://AzureADTokenExchange", time.Now())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(token), 0o600))
}

// utf16 FILE...: write files anew as Windows PowerShell writes what is redirected.
func toUTF16(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		b := []byte{0xff, 0xfe}
		for _, unit := range utf16.Encode([]rune(ts.ReadFile(file))) {
			b = binary.LittleEndian.AppendUint16(b, unit)
		}
		ts.Check(os.WriteFile(ts.MkAbs(file), b, 0o600))
	}
}

// mode FILE OCTAL: check a file's permissions.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); (got == args[1]) == neg {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}

// oneline: stderr is one line of an error in our style, then one of a hint.
func oneLine(ts *testscript.TestScript, _ bool, _ []string) {
	text := ts.ReadFile("stderr")
	if !regexp.MustCompile(`\A(error: ([A-Z_]{4,}\b|[^A-Z\n])[^\n]*[^.\n]\n)+hint: [^\n]+\n\z`).MatchString(text) {
		ts.Fatalf("want lines of error: in lower case and one of hint:, got\n%s", text)
	}
}

// runHere runs the program in the test's own process.
func runHere(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	home := t.TempDir()
	code = run(context.Background(), args, stdio{
		In: strings.NewReader(""), Out: &out, Err: &errs,
		Getenv: func(name string) string {
			if name == "HOME" {
				return home
			}
			return ""
		},
	})
	return code, out.String(), errs.String()
}

// arm METHOD ID VERSION BODY: ask the management API itself, as the admin.
func callARM(ts *testscript.TestScript, _ bool, args []string) {
	a := &app{dataDir: ts.Getenv("DATA")}
	c, err := a.connect()
	ts.Check(err)
	_, err = c.ResourceManager(args[2]).Call(context.Background(), args[0], args[1], nil, json.RawMessage(args[3]), nil)
	ts.Check(err)
}
