package audit

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/model"
)

// Limits of a record, much of which comes from tokens that nobody has verified.
const (
	maxText  = 2 << 10 // bytes of a field; longer text is cut and ends in "…"
	maxItems = 20      // of a list; the rest is left out
)

// appendRecord appends one line of JSON, such that encoding/json reads it back
// into the same Record. Empty fields are left out. It is written by hand
// because it is on every request's path, and because encoding/json leaves
// characters as they are that a terminal obeys.
func appendRecord(b []byte, r *Record, at time.Time) []byte {
	e := encoder{b: append(b, '{')}
	e.key("time")
	e.b = append(e.b, '"')
	e.b = at.UTC().AppendFormat(e.b, time.RFC3339Nano)
	e.b = append(e.b, '"')
	e.text("id", r.ID)
	e.text("correlation", r.Correlation)
	e.text("remote", r.Remote)
	e.text("action", r.Action)
	e.text("resource", r.Resource)
	e.key("granted")
	e.b = strconv.AppendBool(e.b, r.Granted)
	e.text("reason", r.Reason)
	e.text("code", r.Code)
	if r.Caller != nil {
		e.caller(r.Caller)
	}
	if r.Exchange != nil {
		e.exchange(r.Exchange)
	}
	return append(e.b, '}', '\n')
}

type encoder struct{ b []byte }

func (e *encoder) caller(c *model.Caller) {
	e.open("caller")
	e.text("ObjectID", c.ObjectID)
	e.text("AppID", c.AppID)
	e.text("TenantID", c.TenantID)
	e.text("Issuer", c.Issuer)
	e.text("Type", c.Type)
	e.text("IdentityID", c.IdentityID)
	e.text("Name", c.Name)
	e.text("TokenID", c.TokenID)
	e.b = append(e.b, '}')
}

func (e *encoder) exchange(x *Exchange) {
	e.open("exchange")
	e.text("clientId", x.ClientID)
	e.text("scope", x.Scope)
	e.text("method", x.Method)
	e.text("issuer", x.Issuer)
	e.text("subject", x.Subject)
	e.list("audiences", x.Audiences)
	e.text("kid", x.KeyID)
	e.text("alg", x.Algorithm)
	e.text("exp", x.Expires)
	e.text("nbf", x.NotBefore)
	e.text("uti", x.TokenID)
	e.registered(x.Registered)
	e.list("differed", x.Differed)
	e.text("hint", x.Hint)
	e.b = append(e.b, '}')
}

func (e *encoder) registered(all []Registered) {
	if len(all) == 0 {
		return
	}
	e.key("registered")
	for i := range all[:min(len(all), maxItems)] {
		e.b = append(e.b, separator(i), '{')
		r := &all[i]
		e.text("name", r.Name)
		e.text("issuer", r.Issuer)
		e.text("subject", r.Subject)
		e.text("expression", r.Expression)
		e.text("audience", r.Audience)
		e.b = append(e.b, '}')
	}
	e.b = append(e.b, ']')
}

func (e *encoder) list(name string, items []string) {
	if len(items) == 0 {
		return
	}
	e.key(name)
	for i, s := range items[:min(len(items), maxItems)] {
		e.b = append(e.b, separator(i))
		e.b = appendText(e.b, s)
	}
	e.b = append(e.b, ']')
}

func separator(i int) byte {
	if i == 0 {
		return '['
	}
	return ','
}

func (e *encoder) open(name string) {
	e.key(name)
	e.b = append(e.b, '{')
}

func (e *encoder) text(name, value string) {
	if value == "" {
		return
	}
	e.key(name)
	e.b = appendText(e.b, value)
}

// key begins a field; names are ours and need no escaping.
func (e *encoder) key(name string) {
	if e.b[len(e.b)-1] != '{' {
		e.b = append(e.b, ',')
	}
	e.b = append(e.b, '"')
	e.b = append(e.b, name...)
	e.b = append(e.b, '"', ':')
}

// appendText appends s, cut to maxText, as a JSON string. Whatever is not a
// printable character or a blank is escaped: control characters of both sets,
// line separators and the marks that turn the direction of text.
func appendText(b []byte, s string) []byte {
	s, rest := clip(s)
	b = append(b, '"')
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				b = appendEscape(b, rune(c))
			} else {
				if c == '"' || c == '\\' {
					b = append(b, '\\')
				}
				b = append(b, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case !strconv.IsPrint(r) && r > 0xffff:
			r -= 0x10000
			b = appendEscape(b, 0xd800+r>>10)
			b = appendEscape(b, 0xdc00+r&0x3ff)
		case !strconv.IsPrint(r):
			b = appendEscape(b, r)
		default: // U+FFFD in place of what is not UTF-8
			b = utf8.AppendRune(b, r)
		}
	}
	b = append(b, rest...)
	return append(b, '"')
}

func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// clip cuts s to maxText bytes, between two characters; rest is what to put in
// place of the part that was cut.
func clip(s string) (head, rest string) {
	const more = "…"
	if len(s) <= maxText {
		return s, ""
	}
	end := maxText - len(more)
	for end > maxText-len(more)-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end], more
}
