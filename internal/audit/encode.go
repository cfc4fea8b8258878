package audit

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/model"
)

// Limits of a record, in bytes as they are written: after escaping.
const (
	maxText  = 2 << 10 // of a field; longer text is cut and ends in "…"
	maxItems = 20      // of a list; the rest is left out
	// maxStranger is for a whole record of what nobody has verified, without what is
	// registered, which has as much again.
	maxStranger   = 1 << 10
	maxRegistered = 1 << 10
	maxChange     = 256      // of a field of a change
	maxChanges    = 16 << 10 // of all changes
)

// appendRecord appends one line of JSON, such that encoding/json reads it back
// into the same Record. Empty fields are left out. It is written by hand
// because it is on every request's path, and because encoding/json leaves
// characters as they are that a terminal obeys.
//
// A refusal without a caller is a stranger's: all of it together is short.
func appendRecord(b []byte, r *Record, at time.Time) []byte {
	e := encoder{b: append(b, '{'), end: -1}
	if !r.Granted && r.Caller == nil {
		e.end = len(b) + maxStranger - len("]}}\n")
	}
	e.key("time")
	e.b = append(e.b, '"')
	e.b = at.UTC().AppendFormat(e.b, time.RFC3339Nano)
	e.b = append(e.b, '"')
	e.text("id", r.ID, 64)
	e.text("correlation", r.Correlation, 66)
	e.text("remote", r.Remote, 64)
	e.text("action", r.Action, 64)
	e.text("resource", r.Resource, 64)
	e.key("granted")
	e.b = strconv.AppendBool(e.b, r.Granted)
	e.text("code", r.Code, 32)
	if r.Caller != nil {
		e.caller(r.Caller)
	}
	if r.Exchange != nil {
		e.exchange(r.Exchange)
	}
	e.changes(r.Changes)
	if r.Outcome != nil {
		e.open("outcome")
		e.key("status")
		e.b = strconv.AppendInt(e.b, int64(r.Outcome.Status), 10)
		e.text("code", r.Outcome.Code, 64)
		e.b = append(e.b, '}')
	}
	if r.More != 0 {
		e.key("more")
		e.b = strconv.AppendInt(e.b, int64(r.More), 10)
	}
	e.text("reason", r.Reason, 400) // what room is left
	e.text("server", r.Server, 64)
	return append(e.b, '}', '\n')
}

type encoder struct {
	b   []byte
	end int // of a stranger's record: where b must end; -1: anywhere
}

func (e *encoder) caller(c *model.Caller) {
	e.open("caller")
	e.text("ObjectID", c.ObjectID, maxText)
	e.text("AppID", c.AppID, maxText)
	e.text("TenantID", c.TenantID, maxText)
	e.text("Issuer", c.Issuer, maxText)
	e.text("Type", c.Type, maxText)
	e.text("IdentityID", c.IdentityID, maxText)
	e.text("Name", c.Name, maxText)
	e.text("TokenID", c.TokenID, maxText)
	e.b = append(e.b, '}')
}

// exchange writes what matters most first: it is what remains of a long one.
func (e *encoder) exchange(x *Exchange) {
	e.open("exchange")
	e.text("clientId", x.ClientID, 64)
	e.list("differed", x.Differed, 16, maxItems)
	e.text("issuer", x.Issuer, 150)
	e.text("subject", x.Subject, 180)
	e.list("audiences", x.Audiences, 64, maxAudiences)
	e.text("method", x.Method, 64)
	e.text("kid", x.KeyID, 64)
	e.text("alg", x.Algorithm, 16)
	e.text("exp", x.Expires, 24)
	e.text("nbf", x.NotBefore, 24)
	e.text("scope", x.Scope, 80)
	e.text("uti", x.TokenID, 32)
	e.text("hint", x.Hint, 300)
	e.registered(x.Registered)
	e.b = append(e.b, '}')
}

// registered is ours, and no stranger's: it has room of its own.
func (e *encoder) registered(all []Registered) {
	if len(all) == 0 {
		return
	}
	if e.end >= 0 {
		e.end += maxRegistered
	}
	e.key("registered")
	for i := range all[:min(len(all), maxItems)] {
		if i > 0 && e.end >= 0 && e.end-len(e.b) < maxRegistered/4 {
			break
		}
		e.b = append(e.b, separator(i), '{')
		r := &all[i]
		e.text("name", r.Name, 64)
		e.text("issuer", r.Issuer, 160)
		e.text("subject", r.Subject, 160)
		e.text("expression", r.Expression, 200)
		e.text("audience", r.Audience, 64)
		e.b = append(e.b, '}')
	}
	e.b = append(e.b, ']')
}

// changes writes as many as there is room for; of the others there is the number.
func (e *encoder) changes(all []Change) {
	if len(all) == 0 {
		return
	}
	e.key("change")
	end := len(e.b) + maxChanges
	for i := range all {
		e.b = append(e.b, separator(i), '{')
		if i == maxItems || len(e.b) > end {
			e.text("object", strconv.Itoa(len(all)-i)+" more", maxText)
			e.text("kind", "…", maxText)
			e.b = append(e.b, '}')
			break
		}
		e.text("object", all[i].Object, maxText)
		e.text("kind", all[i].Kind, maxText)
		e.fields("before", all[i].Before)
		e.fields("after", all[i].After)
		e.b = append(e.b, '}')
	}
	e.b = append(e.b, ']')
}

func (e *encoder) fields(name string, fields map[string]string) {
	if len(fields) == 0 {
		return
	}
	e.open(name)
	var room [maxItems]string // most have fewer, and need no other
	names := room[:0]
	for k := range fields {
		names = append(names, k)
	}
	slices.Sort(names)
	for i, k := range names {
		if i == maxItems {
			break
		}
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = appendText(e.b, k, maxChange)
		e.b = append(e.b, ':')
		e.b = appendText(e.b, fields[k], maxChange)
	}
	e.b = append(e.b, '}')
}

// maxAudiences is how many of a stranger's audiences are written.
const maxAudiences = 2

func (e *encoder) list(name string, items []string, most, count int) {
	if e.end < 0 {
		count = maxItems
	}
	items = items[:min(len(items), count)]
	if len(items) == 0 || e.room(name, most) == 0 {
		return
	}
	e.key(name)
	for i, s := range items {
		e.b = append(e.b, separator(i))
		e.b = appendText(e.b, s, e.room("", most))
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

// text writes a field that is not empty; of a stranger's at most the bytes most.
func (e *encoder) text(name, value string, most int) {
	if value == "" {
		return
	}
	if most = e.room(name, most); most == 0 {
		return
	}
	e.key(name)
	e.b = appendText(e.b, value, most)
}

// minText is too short to be worth a field.
const minText = 12

// room is how long the text of a field may be; 0: the field is left out.
func (e *encoder) room(name string, most int) int {
	if e.end < 0 {
		return maxText
	}
	most = min(most, e.end-len(e.b)-len(name)-len(`,"":""`))
	if most < minText {
		return 0
	}
	return most
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

// appendText appends s as a JSON string of at most this many bytes between its
// quotes; longer text is cut between two characters and ends in "…". Whatever is
// not a printable character or a blank is escaped: control characters of both
// sets, line separators and the marks that turn the direction of text.
func appendText(b []byte, s string, most int) []byte {
	const more = "…"
	b = append(b, '"')
	start, fits := len(b), len(b)
	for i := 0; i < len(s) && len(b)-start <= most; {
		if len(b)-start <= most-len(more) {
			fits = len(b)
		}
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
	if len(b)-start > most {
		b = append(b[:fits], more...)
	}
	return append(b, '"')
}

func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
