package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/lanyard-io/lanyard/internal/client"
)

// hinted is an error with the next thing to try.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// withHint says what to do about err.
func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// printError writes one line for the error and one for the hint.
func printError(w io.Writer, err error) {
	for line := range strings.SplitSeq(message(err), "\n") {
		fmt.Fprintf(w, "error: %s\n", line)
	}
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// message words an error for a person; the SDK's errors are pages long.
func message(err error) string {
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.RawResponse != nil {
		return fmt.Sprintf("%s (HTTP %d)", e.ErrorCode, e.StatusCode)
	}
	if sentence, _, ok := refusal(err); ok {
		return "signing in: " + sentence
	}
	return strings.TrimSpace(err.Error())
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

func hintFor(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	if _, correlation, ok := refusal(err); ok && correlation != "" {
		return "lanyard explain " + correlation
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		switch e.Status {
		case 401, 403:
			return "sign in as somebody who may: --credentials FILE"
		case 404:
			return "the `list` command shows what there is"
		}
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return "is the server running? lanyard up"
	}
	if errors.Is(err, fs.ErrPermission) {
		return "run as the user who started the server, or choose another --data-dir"
	}
	return ""
}
