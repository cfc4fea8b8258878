package strictjson

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// few is how many names are compared with each other; an object with more is given
// a table, so that the time stays linear.
const few = 32

// names holds the names that the open objects of one document have had so far. The
// zero value is ready.
type names[T string | []byte] struct {
	n    int
	few  [few]T // the first of them: most documents have no more
	more []T
}

// members is one open object. The zero value is no object.
type members struct {
	from int                 // of its names in the stack's
	many map[string]struct{} // once they are more than few
}

// open begins an object.
func (s *names[T]) open() members { return members{from: s.n} }

// close ends the object that was opened last.
func (s *names[T]) close(o *members) { s.n = o.from }

// add notes a member of the object that was opened last; false if it has had one of
// that name. A name is valid UTF-8, and stays as it is until close.
func (s *names[T]) add(o *members, name T) bool {
	if o.many != nil {
		return o.add(string(name))
	}
	for i := o.from; i < s.n; i++ {
		if same(s.at(i), name) {
			return false
		}
	}
	if s.n-o.from < few {
		s.push(name)
		return true
	}
	o.many = make(map[string]struct{}, 2*few)
	for i := o.from; i < s.n; i++ {
		o.add(string(s.at(i)))
	}
	return o.add(string(name))
}

func (s *names[T]) at(i int) T {
	if i < few {
		return s.few[i]
	}
	return s.more[i-few]
}

func (s *names[T]) push(name T) {
	if s.n < few {
		s.few[s.n] = name
	} else {
		s.more = append(s.more[:s.n-few], name)
	}
	s.n++
}

func (o *members) add(name string) bool {
	name = fold(name)
	if _, ok := o.many[name]; ok {
		return false
	}
	o.many[name] = struct{}{}
	return true
}

// same says whether two names are one.
func same[T string | []byte](a, b T) bool {
	for i := 0; i < len(a) && i < len(b); i++ {
		x, y := a[i], b[i]
		if x|y >= utf8.RuneSelf {
			return strings.EqualFold(string(a[i:]), string(b[i:]))
		}
		if x != y && upper(x) != upper(y) {
			return false
		}
	}
	return len(a) == len(b)
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

// fold gives equal texts for names that are the same.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next // the smallest of those that are one letter
			}
			r = next
		}
	}, name)
}
