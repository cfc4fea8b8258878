package verdict_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/verdict"
)

// answered is an error of the SDK's with a vault's answer in it.
func answered(status int, body string) error {
	at, _ := url.Parse("https://kv.vault.lanyard.localhost/secrets/x")
	return &azcore.ResponseError{StatusCode: status, ErrorCode: "Forbidden", RawResponse: &http.Response{
		StatusCode: status, Header: http.Header{"X-Ms-Request-Id": {"some-id"}}, Body: io.NopCloser(strings.NewReader(body)),
		Request: &http.Request{Method: "GET", URL: at},
	}}
}

func TestVerdict(t *testing.T) {
	listen := &net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7443}, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	for name, test := range map[string]struct {
		err        error
		code       int
		said, hint string
	}{
		"plain":           {errors.New("no room"), verdict.ExitError, "no room", ""},
		"own-hint":        {fault.WithHint(errors.New("no room"), "make room"), verdict.ExitError, "no room", "make room"},
		"absent":          {fault.WithHint(fmt.Errorf("looking: %w", fault.Absent("no vault %q", "x")), "lanyard vault list"), verdict.ExitAbsent, `looking: no vault "x"`, "lanyard vault list"},
		"not-found":       {&client.Error{Status: 404, Message: "The thing is gone."}, verdict.ExitAbsent, "the thing is gone", "the `list` command"},
		"may-not":         {&client.Error{Status: 403, Message: "You may not."}, verdict.ExitForbidden, "you may not", "--credentials FILE"},
		"vault-may-not":   {answered(403, `{"error":{"code":"Forbidden","message":"Not you."}}`), verdict.ExitForbidden, "not you", "lanyard explain some-id"},
		"two-lines":       {errors.New("one\n  two"), verdict.ExitError, "one two", ""},
		"port-taken":      {fmt.Errorf("listening: %w", listen), verdict.ExitError, "another program listens on 127.0.0.1:7443 already", "--listen"},
		"port-other-flag": {fmt.Errorf("choose another address with --proxy: %w", fmt.Errorf("listening; choose another address with --proxy %w", listen)), verdict.ExitError, "another program listens", "choose another address with"},
		"no-such-host":    {errors.New(`Get "https://x": dial tcp: lookup login.x.example: no such host`), verdict.ExitError, "no such host login.x.example: nothing leads", "lanyard env"},
		"refused":         {&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, verdict.ExitError, "cannot reach the server: dial tcp", "is the server running?"},
		"unknown-ca":      {errors.New("tls: x509: certificate signed by unknown authority"), verdict.ExitError, "x509", "--ca-file FILE"},
		"not-allowed":     {fmt.Errorf("reading: %w", fs.ErrPermission), verdict.ExitError, "permission denied", "--data-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := verdict.ExitCode(test.err, true); got != test.code {
				t.Errorf("the code is %d, want %d", got, test.code)
			}
			if got := verdict.ExitCode(test.err, false); got != verdict.ExitUsage {
				t.Errorf("before the work began the code is %d, want %d", got, verdict.ExitUsage)
			}
			var out strings.Builder
			verdict.Print(&out, test.err)
			said, hint, _ := strings.Cut(out.String(), "\n")
			if !strings.HasPrefix(said, "error: ") || !strings.Contains(said, test.said) {
				t.Errorf("it says %q, want %q", said, test.said)
			}
			if !strings.Contains(hint, test.hint) || test.hint == "" && hint != "" || strings.Count(hint, "\n") > 1 {
				t.Errorf("the hint is %q, want %q", hint, test.hint)
			}
		})
	}
}

func TestEachFaultHasALine(t *testing.T) {
	var out strings.Builder
	verdict.Print(&out, fault.WithHint(errors.Join(errors.New("one"), errors.New("two")), "three"))
	if got, want := out.String(), "error: one\nerror: two\nhint: three\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
