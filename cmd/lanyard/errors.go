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

// printError writes one line for each fault and one for the hint.
func printError(w io.Writer, err error) {
	for _, fault := range faults(err) {
		fmt.Fprintf(w, "error: %s\n", message(fault))
	}
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// faults are the parts of an error that was joined of several.
func faults(err error) []error {
	switch e := err.(type) { // not As: a wrapped list has words around it
	case *hinted:
		return faults(e.err)
	case interface{ Unwrap() []error }:
		var all []error
		for _, part := range e.Unwrap() {
			all = append(all, faults(part)...)
		}
		return all
	}
	return []error{err}
}

// message words an error for a person, on one line; the SDK's are pages long.
func message(err error) string {
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.RawResponse != nil {
		return sentence(client.ParseError(e.RawResponse).Error())
	}
	if _, ok := errors.AsType[*client.Error](err); ok {
		return sentence(err.Error())
	}
	if said, _, ok := refusal(err); ok {
		return "signing in: " + strings.TrimSuffix(said, ".")
	}
	if unreachable(err) {
		return "cannot reach the server: " + cause(err)
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// sentence fits the server's into ours: no capital at its head, no period at its end.
func sentence(s string) string {
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

func hintFor(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	said, correlation, ok := refusal(err)
	if ok && (strings.HasPrefix(said, "AADSTS7000215:") || strings.HasPrefix(said, "AADSTS700016:")) {
		return "sign in with other credentials: --credentials FILE, or make new ones: lanyard up --new-admin"
	}
	if ok && correlation != "" {
		return "lanyard explain " + correlation
	}
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.StatusCode == 403 && e.RawResponse != nil {
		return "lanyard explain " + e.RawResponse.Header.Get("x-ms-request-id")
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		switch e.Status {
		case 401, 403:
			return "sign in as somebody who may: --credentials FILE"
		case 404:
			return "the `list` command shows what there is"
		}
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
