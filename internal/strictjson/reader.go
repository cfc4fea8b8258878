package strictjson

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// maxBodyDepth is how deep arrays and objects may nest.
const maxBodyDepth = 64

// Check refuses what encoding/json lets pass: deep nesting, members that it
// would take for one, bytes that are not UTF-8, and halves of surrogate pairs, which
// it would replace. It assumes no valid syntax, and leaves errors of it to the
// decoder. What holds for fields holds for maps, such as tags, as well.
func Check(b []byte) error {
	if !utf8.Valid(b) {
		return apierr.New(apierr.Invalid, "the body is not JSON: not UTF-8 at byte %d", validPrefix(b))
	}
	s := scanner{b: b, stack: make([]frame, 0, 8)}
	for s.at < len(b) {
		if err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

func validPrefix(b []byte) int {
	at := 0
	for at < len(b) {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at
}

type scanner struct {
	b     []byte
	at    int
	stack []frame
	names Stack[[]byte]
}

// frame is one open array or object.
type frame struct {
	object bool
	key    bool // the next string is a member's name
	names  Object
}

func (s *scanner) step() error {
	c := s.b[s.at]
	switch c {
	case '{', '[':
		if len(s.stack) == maxBodyDepth {
			return apierr.New(apierr.Invalid, "the body nests deeper than %d levels at byte %d", maxBodyDepth, s.at)
		}
		s.stack = append(s.stack, frame{object: c == '{', key: c == '{', names: s.names.Open()})
	case '}', ']':
		if f := s.top(); f != nil {
			s.names.Close(&f.names)
			s.stack = s.stack[:len(s.stack)-1]
		}
	case ',':
		if f := s.top(); f != nil {
			f.key = f.object
		}
	case '"':
		return s.text()
	}
	s.at++
	return nil
}

func (s *scanner) top() *frame {
	if len(s.stack) == 0 {
		return nil
	}
	return &s.stack[len(s.stack)-1]
}

// text passes over a string, and notes it if it is a member's name.
func (s *scanner) text() error {
	start := s.at
	escaped := false
	for s.at++; s.at < len(s.b) && s.b[s.at] != '"'; s.at++ {
		if s.b[s.at] != '\\' {
			continue
		}
		escaped = true
		if err := s.escape(); err != nil {
			return err
		}
	}
	end := min(s.at+1, len(s.b))
	s.at = end
	f := s.top()
	if f == nil || !f.key {
		return nil
	}
	f.key = false
	name := s.b[min(start+1, end):max(end-1, min(start+1, end))]
	if escaped {
		var plain string
		if json.Unmarshal(s.b[start:end], &plain) != nil {
			return nil // bad syntax: the decoder says so
		}
		name = []byte(plain)
	}
	if !s.names.Add(&f.names, name) {
		return apierr.New(apierr.Invalid, "the body has the member %q twice, at byte %d", clip(name), start)
	}
	return nil
}

// clip is what an answer repeats of a name, or of another's spelling of it.
func clip(name []byte) string {
	const shown = 64
	return strings.ToValidUTF8(string(name[:min(len(name), shown)]), "")
}

// escape passes over the escape at s.at, and stops at its last byte.
func (s *scanner) escape() error {
	start := s.at
	s.at++
	r, ok := s.unit(start)
	if !ok {
		return nil
	}
	s.at = start + 5
	if r < 0xd800 || r > 0xdfff {
		return nil
	}
	if low, ok := s.unit(start + 6); !ok || r > 0xdbff || low < 0xdc00 || low > 0xdfff {
		return apierr.New(apierr.Invalid, "the body is not JSON: half a surrogate pair at byte %d", start)
	}
	s.at = start + 11
	return nil
}

// unit is the UTF-16 code unit of a \uXXXX at a position.
func (s *scanner) unit(at int) (uint64, bool) {
	if at+6 > len(s.b) || s.b[at] != '\\' || s.b[at+1] != 'u' {
		return 0, false
	}
	u, err := strconv.ParseUint(string(s.b[at+2:at+6]), 16, 16)
	return u, err == nil
}
