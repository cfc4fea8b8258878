package verdict

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
)

// Exit codes, which scripts may rely on.
const (
	ExitError     = 1 // anything else
	ExitUsage     = 2 // the command line, or a setting, cannot be read
	ExitAbsent    = 3 // something that was named is not there
	ExitForbidden = 4 // the sign-in failed, or it may not do that
)

// ExitCode is what a program can tell from an error. ran says whether the command's
// work had begun.
func ExitCode(err error, ran bool) int {
	status := 0
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok {
		status = e.StatusCode
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		status = e.Status
	}
	_, _, refused := refusal(err)
	switch {
	case !ran:
		return ExitUsage
	case fault.IsAbsent(err) || status == 404:
		return ExitAbsent
	case refused || status == 401 || status == 403:
		return ExitForbidden
	}
	return ExitError
}

// Print writes one line for each fault and one for the hint.
func Print(w io.Writer, err error) {
	for _, part := range fault.Parts(err) {
		fmt.Fprintf(w, "error: %s\n", message(part))
	}
	if hint := Hint(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// message words an error for a person, on one line; the SDK's are pages long.
func message(err error) string {
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.RawResponse != nil {
		return Sentence(client.ParseError(e.RawResponse).Error())
	}
	if _, ok := errors.AsType[*client.Error](err); ok {
		return Sentence(err.Error())
	}
	if said, _, ok := refusal(err); ok {
		return "signing in: " + strings.TrimSuffix(said, ".")
	}
	if address, _, ok := taken(err); ok {
		return "another program listens on " + address + " already"
	}
	if host := unknownHost(err); host != "" {
		return "no such host " + host + ": nothing leads this shell to the server"
	}
	if unreachable(err) {
		return "cannot reach the server: " + cause(err)
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// taken is the address that another program has, and the flag that names another.
func taken(err error) (address, flag string, ok bool) {
	e, found := errors.AsType[*net.OpError](err)
	if !found || e.Op != "listen" || !errors.Is(err, syscall.EADDRINUSE) {
		return "", "", false
	}
	_, flag, _ = strings.Cut(err.Error(), "choose another address with ")
	return e.Addr.String(), cmp.Or(flag, "--listen"), true
}

// unknownHost is the name that could not be resolved. The SDK's credential keeps of
// such an error only the text.
func unknownHost(err error) string {
	text := err.Error()
	if at := strings.Index(text, "dial tcp: lookup "); at >= 0 && strings.Contains(text[at:], "no such host") {
		host, _, _ := strings.Cut(text[at+len("dial tcp: lookup "):], " ")
		return strings.TrimSuffix(host, ":")
	}
	return ""
}

// Sentence fits the server's into ours: no capital at its head, no period at its end.
func Sentence(s string) string {
	s = strings.TrimSuffix(strings.Join(strings.Fields(s), " "), ".")
	if first, rest, ok := strings.Cut(s, " "); ok && strings.ToLower(first[1:]) == first[1:] {
		return strings.ToLower(first) + " " + rest
	}
	return s
}

// unreachable says whether the server was not there at all. The SDK's credential
// keeps of such an error only the text.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return strings.Contains(err.Error(), "dial tcp")
}

// cause is the innermost part of an error's text: what the system said.
func cause(err error) string {
	text, _, _ := strings.Cut(err.Error(), ". To troubleshoot")
	if at := strings.Index(text, "dial tcp"); at >= 0 {
		text = text[at:]
	}
	return strings.Join(strings.Fields(text), " ")
}

// refusal finds the token service's own sentence in the SDK's error, and the
// correlation id by which it can be looked up.
func refusal(err error) (sentence, correlation string, ok bool) {
	e, ok := errors.AsType[*azidentity.AuthenticationFailedError](err)
	if !ok {
		return "", "", false
	}
	text := e.Error()
	at := strings.Index(text, "AADSTS")
	if at < 0 {
		return "", "", false
	}
	sentence, ids, _ := strings.Cut(text[at:], " Trace ID:")
	if _, rest, found := strings.Cut(ids, "Correlation ID: "); found {
		correlation, _, _ = strings.Cut(rest, " ")
	}
	return sentence, correlation, true
}

// Hint is the next thing to try; it may be empty.
func Hint(err error) string {
	if hint := fault.Hint(err); hint != "" {
		return hint
	}
	said, correlation, ok := refusal(err)
	switch {
	case ok && strings.HasPrefix(said, "AADSTS700016:"):
		return "the client id may be another server's, or its owner was deleted: `lanyard identity list` and `lanyard app list` show those that there are"
	case ok && strings.HasPrefix(said, "AADSTS7000215:"):
		return "sign in with other credentials: --credentials FILE, or make new ones: lanyard up --new-admin"
	case ok && correlation != "":
		return "lanyard explain " + correlation
	}
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.StatusCode == 403 && e.RawResponse != nil {
		return manage.Refused(e, "")
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		switch e.Status {
		case 401, 403:
			return "sign in as somebody who may: --credentials FILE"
		case 404:
			return "the `list` command shows what there is"
		}
	}
	return hintOfSystem(err)
}

// hintOfSystem is for what did not come from the server.
func hintOfSystem(err error) string {
	if _, flag, ok := taken(err); ok {
		return "is a server running already? If not, choose another address with " + flag
	}
	if unknownHost(err) != "" {
		return `eval "$(lanyard env)" in this shell; from another machine, DNS or lanyard hosts`
	}
	if strings.Contains(err.Error(), "proxyconnect tcp") {
		return `the proxy of HTTPS_PROXY does not answer: is the server running? lanyard up; without it, eval "$(lanyard env --unset)"`
	}
	if unreachable(err) {
		return "is the server running? lanyard up"
	}
	if strings.Contains(err.Error(), "x509: certificate signed by unknown authority") {
		return "name the file with the server's CA: --ca-file FILE"
	}
	if errors.Is(err, fs.ErrPermission) {
		return "run as the user who started the server, or choose another --data-dir"
	}
	return ""
}
