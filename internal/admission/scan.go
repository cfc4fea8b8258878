package admission

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// maxDepth is how deep the values that are read may nest; a pod needs about 15.
const maxDepth = 100

// cursor reads a JSON document once, front to back, and copies nothing that it
// need not. It relies on json.Valid having passed the document; on any other it
// fails, too, but perhaps late. Keys are told apart by case, as in Kubernetes.
type cursor struct {
	b     []byte
	i     int
	depth int
	name  []byte // of the member that key stopped at
	err   error  // the first failure; all reading stops
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = apierr.New(apierr.Invalid, format, args...)
		c.i = len(c.b)
	}
}

// peek skips white space and shows the next byte, 0 at the end.
func (c *cursor) peek() byte {
	for ; c.i < len(c.b); c.i++ {
		switch b := c.b[c.i]; b {
		case ' ', '\t', '\n', '\r':
		default:
			return b
		}
	}
	return 0
}

// enter steps into an object ('{') or array ('['); false on null, which it consumes.
// what names the value in the error when it is something else.
func (c *cursor) enter(open byte, what string) bool {
	switch c.peek() {
	case open:
		c.i++
		if c.depth++; c.depth > maxDepth {
			c.fail("%s is nested deeper than %d levels", what, maxDepth)
		}
		return c.err == nil
	case 'n':
		c.skip()
		return false
	}
	kind := "an object"
	if open == '[' {
		kind = "an array"
	}
	c.fail("%s is not %s", what, kind)
	return false
}

// key steps to the next member of the object, its name in c.name; false leaves the object.
func (c *cursor) key() bool {
	if !c.next('}') {
		return false
	}
	c.name = c.text("a name")
	if c.peek() != ':' {
		c.fail("the document is not JSON")
		return false
	}
	c.i++
	return true
}

// elem steps to the next element of the array; false leaves the array.
func (c *cursor) elem() bool { return c.next(']') }

func (c *cursor) next(end byte) bool {
	b := c.peek()
	if b == ',' {
		c.i++
		b = c.peek()
	}
	if b == end {
		c.i++
		c.depth--
		return false
	}
	if b == 0 {
		c.fail("the document ends early")
	}
	return c.err == nil
}

// text reads a string; null is empty. The result may be part of the document.
func (c *cursor) text(what string) []byte {
	switch c.peek() {
	case '"':
	case 'n':
		c.skip()
		return nil
	default:
		c.fail("%s is not a string", what)
		return nil
	}
	start := c.i
	escaped := c.skipString()
	if c.err != nil {
		return nil
	}
	if !escaped {
		return c.b[start+1 : c.i-1]
	}
	var s string
	if err := json.Unmarshal(c.b[start:c.i], &s); err != nil {
		c.fail("%s is not a string", what)
	}
	return []byte(s)
}

// truth reads a boolean; null is false.
func (c *cursor) truth(what string) bool {
	switch c.peek() {
	case 't':
		c.skip()
		return true
	case 'f', 'n':
		c.skip()
	default:
		c.fail("%s is not true or false", what)
	}
	return false
}

// skip steps over a value and gives its bytes.
func (c *cursor) skip() []byte {
	switch c.peek() {
	case '"', '{', '[':
	case 0:
		c.fail("the document ends early")
		return nil
	default:
		return c.skipBare()
	}
	start, depth := c.i, c.depth
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case '"':
			c.skipString()
		case '{', '[':
			c.i++
			if depth++; depth > maxDepth {
				c.fail("the document is nested deeper than %d levels", maxDepth)
			}
			continue
		case '}', ']':
			c.i++
			depth--
		default:
			c.i++
			continue
		}
		if depth == c.depth && c.err == nil {
			return c.b[start:c.i]
		}
	}
	c.fail("the document ends early")
	return nil
}

// skipBare steps over a number, true, false or null.
func (c *cursor) skipBare() []byte {
	start := c.i
	for c.i < len(c.b) && bytes.IndexByte([]byte(",]} \t\r\n"), c.b[c.i]) < 0 {
		c.i++
	}
	return c.b[start:c.i]
}

// skipString steps over a string and tells whether it holds escapes.
func (c *cursor) skipString() (escaped bool) {
	for j := c.i + 1; ; {
		n := bytes.IndexByte(c.b[min(j, len(c.b)):], '"')
		if n < 0 {
			c.fail("the document ends early")
			return false
		}
		if s := bytes.IndexByte(c.b[j:j+n], '\\'); s >= 0 {
			escaped = true
			j += s + 2
			continue
		}
		c.i = j + n + 1
		return escaped
	}
}

// quote makes a JSON string.
func quote[T string | []byte](s T) []byte {
	for i := range len(s) {
		if b := s[i]; b < ' ' || b == '"' || b == '\\' || b >= 0x7f {
			q, err := json.Marshal(string(s))
			if err != nil {
				panic(fmt.Sprintf("marshalling a string: %v", err)) // cannot happen
			}
			return q
		}
	}
	q := make([]byte, 0, len(s)+2)
	q = append(q, '"')
	q = append(q, s...)
	return append(q, '"')
}
