package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/strictjson"
)

// ReadJSON decodes a body into dst, with package strictjson's rules; unknown members
// are ignored. The error is apierr.Invalid, TooLarge or Timeout with a detail fit for
// callers.
func ReadJSON(r *http.Request, dst any) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	body = bytes.TrimPrefix(body, byteOrderMark) // as PowerShell and editors write it
	if len(bytes.TrimSpace(body)) == 0 {
		return apierr.New(apierr.Invalid, "the body is empty; it must be JSON")
	}
	strict := strictjson.Check(body)
	if e, ok := errors.AsType[*strictjson.Error](strict); ok && e.Fault != strictjson.Syntax {
		return ambiguous(e)
	}
	if err := json.Unmarshal(body, dst); err != nil {
		return jsonError(err) // it has better words for bad syntax
	}
	return strict
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// ambiguous words faults that encoding/json would let pass.
func ambiguous(e *strictjson.Error) error {
	switch e.Fault {
	case strictjson.Depth:
		return apierr.New(apierr.Invalid, "the body nests deeper than %d levels at byte %d", strictjson.MaxDepth, e.At)
	case strictjson.Twice:
		return apierr.New(apierr.Invalid, "the body has the member %s twice, at byte %d", apierr.Quoted(e.Name, 64), e.At)
	case strictjson.Surrogate:
		return apierr.New(apierr.Invalid, "the body is not JSON: half a surrogate pair at byte %d", e.At)
	case strictjson.NotUTF8:
		return apierr.New(apierr.Invalid, "the body is not JSON: not UTF-8 at byte %d", e.At)
	case strictjson.Syntax, strictjson.NotObject:
	}
	return apierr.New(apierr.Invalid, "the body is not JSON, at byte %d", e.At)
}

// jsonError words a decoding error. Errors of other types may quote the body,
// which may hold a secret: only their type is kept.
func jsonError(err error) error {
	if _, ok := errors.AsType[*apierr.Error](err); ok {
		return err
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return apierr.New(apierr.Invalid, "the body is not JSON: %s at byte %d", e.Error(), e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		what := "the body"
		if e.Field != "" {
			what = "member " + strconv.Quote(e.Field)
		}
		got, _, _ := strings.Cut(e.Value, " ") // "number 12": the number stays out
		return apierr.New(apierr.Invalid, "%s must be %s, not %s", what, jsonType(e.Type), article(got))
	}
	if _, ok := errors.AsType[*json.InvalidUnmarshalError](err); ok {
		return fmt.Errorf("reading a body: %w", err)
	}
	return apierr.Wrap(fmt.Errorf("decoding a member: %T", err), apierr.Invalid, "a member of the body has a value that does not fit")
}

func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Pointer:
		return jsonType(t.Elem())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer in range"
	default:
		return "another type"
	}
}

func article(jsonType string) string {
	switch jsonType {
	case "bool":
		return "a boolean"
	case "object", "array":
		return "an " + jsonType
	default:
		return "a " + jsonType
	}
}

// maxParameters is how many parameters a form may have: the largest token
// request of any client has about twenty.
const maxParameters = 64

// ReadForm reads an application/x-www-form-urlencoded body. A parameter that
// comes twice is refused, because two readers could take different ones:
// https://www.rfc-editor.org/rfc/rfc6749#section-3.2
func ReadForm(r *http.Request) (url.Values, error) {
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/x-www-form-urlencoded" {
		return nil, apierr.New(apierr.Invalid, "the body must be application/x-www-form-urlencoded")
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(body, ';') >= 0 {
		// It separates parameters too, for some readers; no client sends it bare.
		return nil, apierr.New(apierr.Invalid, "the body has a semicolon that is not percent-encoded")
	}
	if bytes.Count(body, []byte{'&'}) >= maxParameters {
		return nil, apierr.New(apierr.Invalid, "the body has more than %d parameters", maxParameters)
	}
	form := url.Values{}
	for pair := range strings.SplitSeq(string(body), "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		key, keyErr := url.QueryUnescape(k)
		value, valueErr := url.QueryUnescape(v)
		switch {
		case keyErr != nil || valueErr != nil:
			return nil, apierr.New(apierr.Invalid, "the body has a broken percent escape")
		case !utf8.ValidString(key) || !utf8.ValidString(value):
			return nil, apierr.New(apierr.Invalid, "the body is not UTF-8")
		case form.Has(key):
			return nil, apierr.New(apierr.Invalid, "the body has the parameter %q twice", key[:min(len(key), 64)])
		}
		form[key] = []string{value}
	}
	return form, nil
}

// readBody gives all of a body that the route has limited. It is kept: a handler
// that starts over because it lost a race reads it again.
func readBody(r *http.Request) ([]byte, error) {
	x := exchangeOf(r)
	if !x.bodyRead {
		x.body, x.bodyErr = receive(r)
		x.bodyRead = true
	}
	return x.body, x.bodyErr
}

// receive reads a body and undoes its coding.
func receive(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	zipped, err := zipped(r)
	if err != nil {
		return nil, err
	}
	if zipped {
		return unzip(r)
	}
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= 1<<20 {
		b.Grow(int(n) + bytes.MinRead) // ReadFrom asks for MinRead free bytes before it sees the end
	}
	if _, err := b.ReadFrom(r.Body); err != nil {
		return nil, bodyError(r, err)
	}
	return b.Bytes(), nil
}

// bodyError words a failure of reading from the client.
func bodyError(r *http.Request, err error) error {
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(e.Limit, err)
	}
	if isTimeout(err) || r.Context().Err() != nil {
		return apierr.Wrap(err, apierr.Timeout, "the body did not arrive in time")
	}
	return apierr.Wrap(err, apierr.Invalid, "the body ended early")
}

// maxIgnored is how much of an unwanted body is read before the answer.
const maxIgnored = 64 << 10

// ignoreBody reads a body that the operation does not take. With HTTP/2, a body that is
// left unread resets the stream, and some clients then drop the answer too.
func ignoreBody(r *http.Request) {
	if r.ContentLength != 0 {
		_, _ = io.CopyN(io.Discard, r.Body, maxIgnored)
	}
	r.Body = http.NoBody
}

func tooLarge(limit int64, cause error) error {
	return apierr.Wrap(cause, apierr.TooLarge, "the body is larger than %d bytes", limit)
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded)
}

// usualAnswer is room for most answers, a token's among them, without growing.
const usualAnswer = 2 << 10

// WriteJSON answers with a status and a JSON body, no HTML escaping.
func WriteJSON(w http.ResponseWriter, status int, body any) error {
	b := bytes.NewBuffer(make([]byte, 0, usualAnswer))
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	b.Truncate(b.Len() - 1) // Encode's newline
	h := w.Header()
	if len(h["Content-Type"]) == 0 {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	return nil
}

// RetryAfter is the header's value for an error: whole seconds, at least one.
// https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
func RetryAfter(err error) string {
	wait := time.Second
	if e, ok := errors.AsType[*apierr.Error](err); ok {
		wait = max(wait, e.RetryAfter)
	}
	return strconv.Itoa(int((wait + time.Second - 1) / time.Second))
}
