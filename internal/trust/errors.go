package trust

import (
	"fmt"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// Reason says why an assertion was refused; the surface maps it to its code.
type Reason string

// The reasons.
const (
	Malformed   Reason = "malformed"   // not a JWT, or beyond a limit
	Algorithm   Reason = "algorithm"   // not on our list, or not the key's
	Header      Reason = "header"      // a header that we refuse: crit, b64
	Issuer      Reason = "issuer"      // iss is not the issuer's
	Audience    Reason = "audience"    // aud does not hold the audience
	NoExpiry    Reason = "no_expiry"   // exp is missing or absurd
	Expired     Reason = "expired"     // exp is past
	NotYet      Reason = "not_yet"     // nbf or iat is in the future
	UnknownKey  Reason = "unknown_key" // the issuer does not publish that key
	UnusedKey   Reason = "unused_key"  // the issuer publishes that key, and it is not accepted here
	Signature   Reason = "signature"   // the key did not sign this
	Unreachable Reason = "unreachable" // discovery or keys could not be had
)

// Error is a refusal: Reason for the code, a safe sentence, and the cause.
type Error struct {
	Reason Reason
	Detail string
	Err    error
}

func (e *Error) Error() string { return "assertion refused: " + e.Detail }
func (e *Error) Unwrap() error { return e.Err }

func refuse(r Reason, cause error, format string, args ...any) error {
	return &Error{Reason: r, Detail: fmt.Sprintf(format, args...), Err: cause}
}

// maxQuoted is how much of a foreign text a sentence repeats.
const maxQuoted = 256

func quote(s string) string { return apierr.Quoted(s, maxQuoted) }
