// Package apierr is the one error that crosses package borders on its way to a
// caller: a Kind, from which the answer's form follows, and a Detail, which is safe to
// show. It knows no HTTP and no vendor's codes: each surface has its own in its
// errors.go, all in one shape, which is Code.
package apierr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Kind says what went wrong from the caller's point of view.
type Kind uint8

// The kinds, from the caller's mistakes to ours.
const (
	Internal           Kind = iota // our fault; Detail is not shown
	Invalid                        // the request makes no sense
	Unauthenticated                // no proof, or a bad one
	Forbidden                      // proven, but not allowed
	NotFound                       // no such thing
	MethodNotAllowed               // the thing exists, the verb does not
	Conflict                       // the state does not allow it, or a race was lost
	PreconditionFailed             // If-Match or If-None-Match did not hold
	TooLarge                       // over a limit on size
	Throttled                      // over a limit on rate; see RetryAfter
	Unavailable                    // a part we need is not there; try again
	Timeout                        // the request did not arrive or end in time
	Unsupported                    // the body is coded in a way that we do not read
)

var kindNames = [...]string{
	"internal", "invalid", "unauthenticated", "forbidden", "not_found", "method_not_allowed",
	"conflict", "precondition_failed", "too_large", "throttled", "unavailable", "timeout", "unsupported",
}

// String is a short name, fit for a metric label.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "internal"
}

// Error is a failure with a safe sentence for the caller (Detail) and,
// optionally, the cause for the operator's log (Err).
type Error struct {
	Kind       Kind
	Detail     string        // shown to the caller; never a secret
	Err        error         // logged, never shown
	RetryAfter time.Duration // for Throttled and Unavailable; 0 = unknown
}

// Error joins the detail and the cause: it is for logs, not for callers.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Detail + ": " + e.Err.Error()
	}
	return e.Detail
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error whose detail may be shown to the caller.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Wrap adds a kind and a safe detail to a cause that stays in the log.
func Wrap(err error, kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...), Err: err}
}

// Code is a row of a surface's catalogue: one wire code with all that goes with it. As
// an error it is the cause that Fail wraps, so that CodeOf finds it again.
type Code interface {
	comparable
	error // as clients know it
	Kind() Kind
}

// Fail makes an error with a wire code and a sentence for the caller.
func Fail[C Code](c C, format string, args ...any) error { return Wrap(c, c.Kind(), format, args...) }

// CodeOf is the code that Fail gave; for other packages' errors, the plain one of their kind.
func CodeOf[C Code](err error, plain map[Kind]C) C {
	if c, ok := errors.AsType[C](err); ok {
		return c
	}
	if c, ok := plain[KindOf(err)]; ok {
		return c
	}
	return plain[Internal]
}

// KindOf is the kind of the outermost Error in err's chain; Internal if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Detail is the outermost Error's detail, for the caller, or a sentence without content
// when err carries none or is Internal.
func Detail(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Kind != Internal {
		return e.Detail
	}
	return "An internal error occurred. The request id leads to the server's log."
}

// Shown makes a foreign text fit to be repeated in a Detail: at most so many bytes and
// an ellipsis, on one line.
func Shown(s string, most int) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, cut(s, most))
}

// Quoted is Shown as a Go string: unprintable characters are written as escapes.
func Quoted(s string, most int) string { return strconv.Quote(cut(s, most)) }

func cut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
