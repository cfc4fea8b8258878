package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Query says which records are wanted. The zero Query wants the newest of all.
type Query struct {
	ID      string // of the request, or its correlation id: then nothing else counts
	Refused bool   // these, unless Granted are wanted too
	Granted bool
	// Identities are names, client ids or object ids, one of which a record is about.
	Identities []string
	Vault      string    // by name
	Subject    string    // part of a foreign token's subject or a person's name
	Since      time.Time // zero: whenever
	Limit      int       // the newest so many; default 100, at most 1,000
	// All are also those of reading this very log.
	All bool
}

// Answer is what was found, oldest first, and by whom.
type Answer struct {
	Value   []Record `json:"value"`
	Servers []Asked  `json:"servers"`
}

// Asked is one server of those that share a store.
type Asked struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"` // why it did not answer
	// Partial says that it looked only at the newest part of its files.
	Partial bool `json:"partial,omitempty"`
}

const (
	defaultLimit  = 100
	maxIdentities = 20
	maxScan       = 64 << 20 // bytes of files that a query reads
	// disorder is how far a record may lie from its place in time.
	disorder = time.Minute
)

// Values is the query as URL parameters.
func (q *Query) Values() url.Values {
	v := url.Values{}
	for name, on := range map[string]bool{"refused": q.Refused, "granted": q.Granted, "all": q.All} {
		if on {
			v.Set(name, "true")
		}
	}
	for name, text := range map[string]string{"vault": q.Vault, "subject": q.Subject} {
		if text != "" {
			v.Set(name, text)
		}
	}
	for _, id := range q.Identities {
		v.Add("identity", id)
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// ParseQuery reads what Values wrote. The error is for whoever wrote it.
func ParseQuery(v url.Values) (q Query, err error) {
	q = Query{
		Refused: v.Get("refused") == "true", Granted: v.Get("granted") == "true", All: v.Get("all") == "true",
		Identities: v["identity"], Vault: v.Get("vault"), Subject: v.Get("subject"), Limit: defaultLimit,
	}
	if len(q.Identities) > maxIdentities {
		return q, fmt.Errorf("there may be at most %d identities", maxIdentities)
	}
	if s := v.Get("since"); s != "" {
		if q.Since, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return q, errors.New("since must be a time such as 2026-11-23T12:00:00Z")
		}
	}
	if s := v.Get("limit"); s != "" {
		if q.Limit, err = strconv.Atoi(s); err != nil || q.Limit < 1 || q.Limit > maxFound {
			return q, fmt.Errorf("limit must be 1 to %d", maxFound)
		}
	}
	return q, nil
}

// actionRead is the action of reading this log.
const actionRead = "Lanyard.Trust/decisions/read"

func (q *Query) wants(r *Record) bool {
	switch {
	case q.Refused != q.Granted && r.Granted != q.Granted,
		r.Time.Before(q.Since),
		!q.All && r.Granted && strings.EqualFold(r.Action, actionRead),
		q.Vault != "" && !r.ofVault(q.Vault),
		q.Subject != "" && !r.ofSubject(q.Subject):
		return false
	}
	return len(q.Identities) == 0 || slices.ContainsFunc(q.Identities, r.ofIdentity)
}

func (r *Record) ofVault(name string) bool {
	at, name := strings.ToLower(r.Resource), strings.ToLower(name)
	return strings.HasPrefix(at, name+".vault.") || strings.Contains(at+"/", "/vaults/"+name+"/")
}

func (r *Record) ofSubject(part string) bool {
	part = strings.ToLower(part)
	return r.Exchange != nil && strings.Contains(strings.ToLower(r.Exchange.Subject), part) ||
		r.Caller != nil && strings.Contains(strings.ToLower(r.Caller.Name), part)
}

func (r *Record) ofIdentity(id string) bool {
	is := func(s string) bool { return strings.EqualFold(s, id) }
	if is(r.Resource) || is(last(r.Resource)) || r.Exchange != nil && is(r.Exchange.ClientID) {
		return true
	}
	c := r.Caller
	return c != nil && (is(c.ObjectID) || is(c.AppID) || is(c.Name) || is(last(c.IdentityID)))
}

func last(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// Query finds records, oldest first. It reads from the newest back, and says when
// it stopped before the end because that was too much.
func (l *Log) Query(ctx context.Context, q Query) (found []Record, partial bool, err error) {
	if q.ID != "" {
		found, err = l.Find(ctx, q.ID)
		return found, false, err
	}
	if q.Limit <= 0 || q.Limit > maxFound {
		q.Limit = defaultLimit
	}
	select { // one search at a time
	case l.scan <- struct{}{}:
		defer func() { <-l.scan }()
	case <-ctx.Done():
		return nil, false, fmt.Errorf("waiting to search the audit log: %w", ctx.Err())
	}
	s := &scan{q: q, left: maxScan, seen: map[string]bool{}}
	if !q.Granted || q.Refused {
		s.recent(l.recent.newest())
	}
	for i, prefix := range prefixes {
		if i == changes && q.Refused && !q.Granted || i == refused && q.Granted && !q.Refused {
			continue
		}
		if err := s.series(ctx, l.dir, prefix); err != nil {
			return nil, false, fmt.Errorf("searching the audit log: %w", err)
		}
	}
	s.found = joined(s.found)
	return s.found[max(0, len(s.found)-q.Limit):], s.left <= 0, nil
}

// scan is one search on its way.
type scan struct {
	q     Query
	left  int64           // bytes that may be read yet
	seen  map[string]bool // refusals that were found in memory
	found []Record
}

func refusalKey(r *Record) string { return r.ID + " " + r.Action + " " + r.Code }

// recent takes what memory has: some of it is in no file.
func (s *scan) recent(lines [][]byte) {
	n := 0
	for _, line := range lines {
		var r Record
		if json.Unmarshal(line, &r) != nil {
			continue
		}
		s.seen[refusalKey(&r)] = true
		if n < s.q.Limit && s.q.wants(&r) {
			s.found = append(s.found, r)
			n++
		}
	}
}

func (s *scan) series(ctx context.Context, dir, prefix string) error {
	numbers, err := list(dir, prefix)
	if err != nil {
		return err
	}
	before := len(s.found)
	for _, n := range slices.Backward(numbers) {
		file, err := os.Open(path(dir, prefix, n))
		if errors.Is(err, fs.ErrNotExist) { // rotated away meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		more, err := s.file(ctx, file, before)
		file.Close()
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// file reads one file from its end; more says whether older ones are wanted.
func (s *scan) file(ctx context.Context, file *os.File, before int) (more bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	more = true
	n := 0
	err = backward(file, info.Size(), func(line []byte) error {
		s.left -= int64(len(line))
		// A write's two records may become one.
		if n++; s.left <= 0 || len(s.found)-before >= 2*s.q.Limit {
			more = false
			return fs.SkipAll
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if at, ok := lineTime(line); ok && at.Add(disorder).Before(s.q.Since) {
			more = false
			return fs.SkipAll
		}
		var r Record
		if json.Unmarshal(line, &r) == nil && s.q.wants(&r) && (r.Granted || !s.seen[refusalKey(&r)]) {
			s.found = append(s.found, r)
		}
		return nil
	})
	return more, err
}
