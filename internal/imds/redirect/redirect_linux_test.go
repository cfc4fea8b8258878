package redirect_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/imds/redirect"
)

// insideVariable tells the test that it runs in a network namespace of its own.
const insideVariable = "LANYARD_TEST_NAMESPACE"

// TestRedirect runs itself again in a network namespace of its own, with a link
// that leads nowhere, as in a pod without a way out.
func TestRedirect(t *testing.T) {
	if os.Getenv(insideVariable) == "" {
		again(t)
		return
	}
	for _, line := range []string{
		"link set lo up", "link add out type veth peer name nowhere", "link set nowhere up", "link set out up",
		"addr add 10.99.0.1/24 dev out", "addr add fe80::1/64 dev out nodad", "route add default dev out",
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
	first, second := listen(t, "first"), listen(t, "second")
	if got := ask(t, "169.254.169.254", 0); !strings.HasPrefix(got, "error") {
		t.Fatalf("before: %s", got)
	}

	const sidecar = 65532
	for range 2 { // twice is as good as once
		apply(t, redirect.Config{Port: first, ExemptUID: sidecar})
	}
	if got := ask(t, "169.254.169.254", 0); got != "first" {
		t.Errorf("after: %s", got)
	}
	if got := ask(t, "[fe80::a9fe:a9fe%25out]", 0); !strings.Contains(got, "refused") {
		t.Errorf("IPv6: %s", got)
	}
	if got := ask(t, "169.254.169.254", sidecar); !strings.HasPrefix(got, "error") {
		t.Errorf("the sidecar's own requests: %s", got)
	}
	if got := ask(t, "169.254.169.253", 0); !strings.HasPrefix(got, "error") {
		t.Errorf("another address: %s", got)
	}
	if rules := ruleset(t); strings.Count(rules, "redirect to") != 1 || strings.Count(rules, "reject") != 1 || strings.Count(rules, "table ") != 1 {
		t.Errorf("applied twice:\n%s", rules)
	}

	apply(t, redirect.Config{Port: second, ExemptUID: redirect.NoExemption})
	if got := ask(t, "169.254.169.254", sidecar); got != "second" {
		t.Errorf("with another port and no exemption: %s", got)
	}
	for range 2 {
		if err := redirect.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if rules := ruleset(t); rules != "" {
		t.Errorf("after its removal:\n%s", rules)
	}
}

// again runs this test in a new network namespace.
func again(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		notRun(t, "a network namespace needs root")
	}
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			notRun(t, program+" is missing (apt-get install iproute2 nftables)")
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		notRun(t, "a network namespace cannot be made here: "+err.Error())
	}
	t.Logf("inside:\n%s", out)
	if err != nil {
		t.Errorf("inside: %v", err)
	}
}

// notRun skips the test, for everybody but CI, which may skip nothing.
func notRun(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("*** NOT RUN: " + why)
}

func apply(t *testing.T, c redirect.Config) {
	t.Helper()
	if err := redirect.Apply(c); err != nil {
		t.Fatal(err)
	}
}

func ruleset(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nft", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// listen answers with a word on both loopback addresses, and gives its port.
func listen(t *testing.T, word string) int {
	t.Helper()
	four, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := four.Addr().(*net.TCPAddr).Port
	six, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, word) }),
		ReadHeaderTimeout: time.Minute,
	}
	t.Cleanup(func() { srv.Close() })
	go srv.Serve(four)
	go srv.Serve(six)
	return port
}

// helperVariable makes the test binary a client: it asks the URL and ends.
const helperVariable = "LANYARD_TEST_ASK"

func TestMain(m *testing.M) {
	if url := os.Getenv(helperVariable); url != "" {
		c := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{}}
		resp, err := c.Get(url)
		if err != nil {
			fmt.Print("error: ", err)
			return
		}
		defer resp.Body.Close()
		io.Copy(os.Stdout, resp.Body)
		return
	}
	os.Exit(m.Run())
}

// ask is a request by a process of a user.
func ask(t *testing.T, host string, uid uint32) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	bin := "/proc/self/exe"
	if uid != 0 { // that user may not reach the folder of the test binary
		bin = os.TempDir() + "/lanyard-ask-" + fmt.Sprint(os.Getpid())
		if err := os.WriteFile(bin, self, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(bin)
	}
	cmd := exec.CommandContext(t.Context(), bin)
	cmd.Env = []string{helperVariable + "=http://" + host + "/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("asking as %d: %v\n%s", uid, err, out)
	}
	return string(out)
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []redirect.Config{{}, {Port: 70000}, {Port: 80, ExemptUID: -2}, {Port: 80, ExemptUID: 1 << 40}} {
		if err := redirect.Apply(c); err == nil {
			t.Errorf("%+v: accepted", c)
		}
	}
}
