package strictjson

import (
	"encoding/json"
	"strconv"
)

// text goes past a string, and gives what it means if that is wanted.
func (r *reader[T]) text(wanted bool) (T, error) {
	var none T
	start, escaped := r.at, false
	for r.at++; r.at < len(r.all); r.at++ {
		switch c := r.all[r.at]; {
		case c == '"':
			r.at++
			if !wanted || !escaped {
				return r.all[start+1 : r.at-1], nil
			}
			var s string
			if json.Unmarshal([]byte(r.all[start:r.at]), &s) != nil {
				return none, r.fail(Syntax, start)
			}
			return T(s), nil
		case c == '\\':
			escaped = true
			if err := r.escape(); err != nil {
				return none, err
			}
		case c < ' ':
			return none, r.fail(Syntax, r.at)
		}
	}
	return none, r.fail(Syntax, r.at)
}

// escape goes to the last byte of an escape.
func (r *reader[T]) escape() error {
	start := r.at
	if r.at++; r.at == len(r.all) {
		return r.fail(Syntax, start)
	}
	switch r.all[r.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	}
	unit, ok := r.unit(start)
	if !ok {
		return r.fail(Syntax, start)
	}
	r.at = start + 5
	if unit < 0xd800 || unit > 0xdfff {
		return nil
	}
	if low, ok := r.unit(start + 6); !ok || unit > 0xdbff || low < 0xdc00 || low > 0xdfff {
		return r.fail(Surrogate, start)
	}
	r.at = start + 11
	return nil
}

// unit is the UTF-16 code unit of a \uXXXX at a position.
func (r *reader[T]) unit(at int) (uint64, bool) {
	if at+6 > len(r.all) || r.all[at] != '\\' || r.all[at+1] != 'u' {
		return 0, false
	}
	u, err := strconv.ParseUint(string(r.all[at+2:at+6]), 16, 16)
	return u, err == nil
}
