package trust

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/strictjson"
)

// MaxAssertion is the longest assertion in bytes that Parse looks at.
const MaxAssertion = 64 << 10

// maxHeader has room for a client certificate's chain (x5c).
const maxHeader = 32 << 10

// maxDepth is how deep the JSON of tokens and key sets may nest.
const maxDepth = 16

// Assertion is a parsed, unverified token.
type Assertion struct {
	Alg, KeyID   string
	X5T, X5TS256 string // certificate thumbprints as presented: some clients pad them; empty: none that is text
	Issuer       string
	Subject      string
	Audiences    []string
	Expires      time.Time      // zero: missing
	NotBefore    time.Time      // zero: missing
	IssuedAt     time.Time      // zero: missing
	Claims       map[string]any // all of them, numbers as json.Number; not to be changed

	signed    string // header and payload as presented
	signature []byte
}

// Parse reads a compact JWS without verifying anything: one pass, bounded.
// Surrounding white space is dropped, as token files end with a newline.
// Duplicate members, crit and b64 are refused; a key that the token brings along
// is not looked at. Errors are *Error.
func Parse(token string) (*Assertion, error) {
	if len(token) > MaxAssertion {
		return nil, refuse(Malformed, nil, "The assertion is longer than %d bytes.", MaxAssertion)
	}
	token = strings.Trim(token, " \t\r\n")
	head, rest, _ := strings.Cut(token, ".")
	payload, sig, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(sig, ".") {
		return nil, refuse(Malformed, nil, "The assertion is not a JWT: it does not have three parts.")
	}
	a := &Assertion{signed: token[:len(token)-len(sig)-1]}
	if err := a.readHeader(head); err != nil {
		return nil, err
	}
	var err error
	if a.signature, err = decode(sig); err != nil {
		return nil, refuse(Malformed, err, "The assertion is not a JWT: its signature is not base64url.")
	}
	if err := a.readClaims(payload); err != nil {
		return nil, err
	}
	return a, nil
}

// refusedHeaders change what the signature covers, or say that a header must be
// understood. All others that we do not use are ignored, as they must be: those
// that bring a key (jku, jwk, x5u, x5c) too, because whose key counts is stored.
// https://www.rfc-editor.org/rfc/rfc7515#section-4
var refusedHeaders = []string{"crit", "b64"}

func (a *Assertion) readHeader(part string) error {
	if len(part) > base64.URLEncoding.EncodedLen(maxHeader) {
		return refuse(Malformed, nil, "The assertion's header is longer than %d bytes.", maxHeader)
	}
	header, err := decodeObject(part)
	if err != nil {
		return refuse(Malformed, err, "The assertion is not a JWT: its header is %v.", err)
	}
	r := members{of: header}
	a.Alg = r.text("alg")
	if r.err != nil || !accepted(a.Alg) {
		return refuse(Algorithm, r.err, "The assertion's algorithm %s is not accepted.", quote(a.Alg))
	}
	for _, name := range refusedHeaders {
		if _, ok := header[name]; ok {
			return refuse(Header, nil, "The assertion's header holds %q, which is not accepted.", name)
		}
	}
	a.KeyID = r.text("kid")
	a.X5T, _ = header["x5t"].(string)
	a.X5TS256, _ = header["x5t#S256"].(string)
	if r.err != nil {
		return refuse(Malformed, r.err, "The assertion's header is malformed: %v.", r.err)
	}
	return nil
}

func (a *Assertion) readClaims(part string) error {
	claims, err := decodeObject(part)
	if err != nil {
		return refuse(Malformed, err, "The assertion is not a JWT: its payload is %v.", err)
	}
	r := members{of: claims}
	a.Claims = claims
	a.Issuer, a.Subject = r.text("iss"), r.text("sub")
	a.Audiences = r.texts("aud")
	a.NotBefore, a.IssuedAt = r.time("nbf"), r.time("iat")
	if r.err != nil {
		return refuse(Malformed, r.err, "The assertion's claims are malformed: %v.", r.err)
	}
	if a.Expires = r.time("exp"); r.err != nil {
		return refuse(NoExpiry, r.err, "The assertion's expiry time is not usable: %v.", r.err)
	}
	return nil
}

// members reads members of an object by name; a missing one gives the zero
// value, one of another type is the err.
type members struct {
	of  map[string]any
	err error
}

func (m *members) text(name string) string {
	v, ok := m.of[name]
	s, isText := v.(string)
	if ok && !isText {
		m.fail(name, "not a string")
	}
	return s
}

// texts reads an array of strings, or one string.
func (m *members) texts(name string) []string {
	v, ok := m.of[name]
	if !ok {
		return nil
	}
	if s, ok := v.(string); ok {
		return []string{s}
	}
	array, ok := v.([]any)
	texts := make([]string, 0, len(array))
	for _, v := range array {
		if s, ok := v.(string); ok {
			texts = append(texts, s)
		}
	}
	if !ok || len(texts) != len(array) {
		m.fail(name, "neither a string nor an array of strings")
	}
	return texts
}

// latest is the end of year 9999, the last that RFC 3339 can write.
const latest = 253402300799

// time reads a NumericDate, which may have a fraction: some clients send floats.
// https://www.rfc-editor.org/rfc/rfc7519#section-2
func (m *members) time(name string) time.Time {
	v, ok := m.of[name]
	if !ok {
		return time.Time{}
	}
	n, ok := v.(json.Number)
	if !ok {
		m.fail(name, "not a number")
		return time.Time{}
	}
	seconds, err := strconv.ParseFloat(string(n), 64)
	if err != nil || !(seconds >= 0 && seconds <= latest) {
		m.fail(name, "not a time between 1970 and 9999")
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}

func (m *members) fail(name, what string) {
	if m.err == nil {
		m.err = errors.New(name + " is " + what)
	}
}

func decodeObject(part string) (map[string]any, error) {
	b, err := decode(part)
	if err != nil {
		return nil, err
	}
	return strictjson.Object(string(b), maxDepth)
}

// strictURL refuses trailing bits, so that one value has one spelling.
var strictURL = base64.RawURLEncoding.Strict()

var errBase64 = errors.New("not base64url")

// decode reads base64url. Correct padding is tolerated; line breaks, which
// package base64 skips, are not.
func decode(s string) ([]byte, error) {
	if len(s)%4 == 0 {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	}
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return nil, errBase64
	}
	b, err := strictURL.DecodeString(s)
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}
