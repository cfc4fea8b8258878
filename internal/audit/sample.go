package audit

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanyard-io/lanyard/internal/limit"
)

// How many refusals are written. With at most 1 KiB each, the files of refusals
// last for days of whatever strangers do.
const (
	strangerBurst     = 100 // of one address
	strangerPerMinute = 20
	everyBurst        = 2000 // of all strangers together
	everyPerMinute    = 120
	callerBurst       = 300 // of one principal that has signed in
	callerPerMinute   = 120
	// maxCounted is how many sources' refusals are counted apart each minute.
	maxCounted = 64
)

// sample decides which refusals get a record of their own, and counts the others.
type sample struct {
	strangers *limit.Table // by address
	everybody *limit.Table // one bucket
	callers   *limit.Table // by object id

	total atomic.Uint64 // that were counted only

	mu      sync.Mutex
	counted map[limit.Source]*Record // guarded by mu
	others  Record                   // of the sources beyond maxCounted; guarded by mu
}

func newSample(now func() time.Time) *sample {
	table := func(burst, perMinute float64) *limit.Table {
		return limit.New(limit.Config{Burst: burst, PerMinute: perMinute, Now: now})
	}
	return &sample{
		strangers: table(strangerBurst, strangerPerMinute),
		everybody: table(everyBurst, everyPerMinute),
		callers:   table(callerBurst, callerPerMinute),
		counted:   map[limit.Source]*Record{},
	}
}

// keep says whether a refusal is to be written; otherwise it has been counted.
func (s *sample) keep(r *Record, at time.Time) bool {
	if r.Caller != nil && r.Caller.ObjectID != "" {
		from := limit.Named(r.Caller.ObjectID)
		if s.callers.Take(from) == 0 {
			return true
		}
		s.count(from, r, at)
		return false
	}
	from := limit.SourceOf(r.Remote)
	if s.strangers.Take(from) == 0 && s.everybody.Take(limit.Source{}) == 0 {
		return true
	}
	s.count(from, r, at)
	return false
}

func (s *sample) count(from limit.Source, r *Record, at time.Time) {
	s.total.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counted[from]
	switch {
	case c != nil:
	case len(s.counted) < maxCounted:
		c = &Record{Time: at, Remote: from.String()}
		if r.Caller != nil {
			caller := *r.Caller
			c.Remote, c.Caller = r.Remote, &caller
		}
		s.counted[from] = c
	default:
		c = &s.others
		if c.More == 0 {
			c.Time = at
		}
	}
	c.More++
	c.Action, c.Code = r.Action, r.Code
}

// take gives the counts as records, the largest first, and begins anew.
func (s *sample) take() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Record
	for _, c := range s.counted {
		all = append(all, *c)
	}
	clear(s.counted)
	slices.SortFunc(all, func(a, b Record) int { return cmp.Compare(b.More, a.More) })
	if s.others.More > 0 {
		all = append(all, s.others)
		s.others = Record{}
	}
	for i := range all {
		where := "from this address"
		switch {
		case all[i].Caller != nil:
			where = "of this principal"
		case all[i].Remote == "":
			where = "from other addresses"
		}
		all[i].Reason = fmt.Sprintf("%d more refusals %s since %s have no record of their own; the last is named",
			all[i].More, where, all[i].Time.UTC().Format(time.RFC3339))
		all[i].Time = time.Time{}
	}
	return all
}

// putBack counts again what could not be written.
func (s *sample) putBack(r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others.More += r.More
	s.others.Action, s.others.Code = r.Action, r.Code
}
