// Package trust verifies tokens of other people's issuers: a cluster's, GitHub's,
// any OpenID provider's. It fetches discovery documents and keys within strict
// limits, and only for issuers that the caller already knows by name. It knows
// no federated credentials and no Azure codes.
package trust

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"
)

// Reason says why an assertion was refused; the surface maps it to its code.
type Reason string

// The reasons.
const (
	Malformed   Reason = "malformed"   // not a JWT, or beyond a limit
	Algorithm   Reason = "algorithm"   // not on our list, or not the key's
	Header      Reason = "header"      // a header that we refuse: crit, jku, x5u, jwk, x5c
	Issuer      Reason = "issuer"      // iss is not the issuer's
	Audience    Reason = "audience"    // aud does not hold the audience
	NoExpiry    Reason = "no_expiry"   // exp is missing or absurd
	Expired     Reason = "expired"     // exp is past
	NotYet      Reason = "not_yet"     // nbf or iat is in the future
	UnknownKey  Reason = "unknown_key" // the issuer does not publish that key
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

// Assertion is a parsed, unverified token.
type Assertion struct {
	Alg, KeyID string
	Issuer     string
	Subject    string
	Audiences  []string
	Expires    time.Time      // zero: missing
	NotBefore  time.Time      // zero: missing
	IssuedAt   time.Time      // zero: missing
	Claims     map[string]any // all of them, numbers as json.Number
	// unexported: what Verify needs
}

// MaxAssertion is the longest assertion in bytes that Parse looks at.
const MaxAssertion = 64 << 10

// Parse reads a compact JWS without verifying anything: one pass, bounded.
// Duplicate members, crit and embedded keys are refused. Errors are *Error.
func Parse(token string) (*Assertion, error) { panic("todo") }

// Source is where one issuer's keys come from, as an operator stored it.
type Source struct {
	Issuer string // exact, as in iss; https
	Keys   []byte // a pinned JWKS; nil: discover
	Roots  []byte // PEM; nil: Config.Roots
}

// Config for New. Zero values give the defaults.
type Config struct {
	Log         *slog.Logger
	Now         func() time.Time
	Roots       *x509.CertPool    // nil: the system's
	Transport   http.RoundTripper // tests only; nil: our own, with the address rules
	Timeout     time.Duration     // of one fetch; default 5 s
	MinRefetch  time.Duration     // between two fetches of one issuer's keys; default 30 s
	MaxAge      time.Duration     // keys older than this are fetched again before use; default 5 min
	MaxStale    time.Duration     // while the issuer is unreachable, keys are used up to this age; default 10 min
	MaxDocument int64             // bytes of discovery or JWKS; default 256 KiB
	MaxKeys     int               // default 100
	Skew        time.Duration     // leeway for nbf, iat and exp; default 5 min for nbf/iat, none for exp
	MaxLifetime time.Duration     // exp further away is absurd; default 366 days
}

// Verifier checks assertions. It is safe for concurrent use.
type Verifier struct{ _ int }

// New makes a Verifier. It starts no goroutine.
func New(c Config) *Verifier { panic("todo") }

// Verify checks time, issuer and audience first, then the signature with the
// source's keys, fetching them if they are unknown, old or lack the key id.
// Errors are *Error.
func (v *Verifier) Verify(ctx context.Context, a *Assertion, src Source, audience string) error {
	panic("todo")
}

// VerifyKey checks an assertion against one known public key or certificate key
// (client certificate sign-in): time, issuer, audience (any of), signature.
func (v *Verifier) VerifyKey(a *Assertion, key any, issuer string, audiences []string) error {
	panic("todo")
}

// ParseKeys checks a JWKS document against the limits, for upload.
func ParseKeys(jwks []byte, maxKeys int) (count int, err error) { panic("todo") }
