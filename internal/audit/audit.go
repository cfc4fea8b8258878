package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config for Open.
type Config struct {
	Dir string // of the files; made 0700
	Log *slog.Logger
	Now func() time.Time
	// MaxFile is the bytes of a file of granted decisions before a new one is begun;
	// default 128 MiB. Files of changes and of refusals have a quarter of it.
	MaxFile int64
	// Keep is how many files of granted decisions are kept, and as many of changes;
	// default 32, 0 = default, < 0 = all.
	Keep int
	// KeepRefused is how many files of refusals are kept; default 16. They are
	// never all kept: strangers write them.
	KeepRefused int
	MaxAge      time.Duration // of records, more or less; 0: no limit
	Sync        bool          // fsync before Append returns; concurrent appends share one
	Recent      int           // refusals kept in memory for Find; default 10,000
}

// Log is an open audit log: JSON lines in 0600 files.
type Log struct {
	now    func() time.Time
	log    *slog.Logger
	recent *recent
	sample *sample
	dir    string
	scan   chan struct{} // holds one token while files are searched
	series [len(prefixes)]*series
}

// Files come in series with limits of their own, so that no kind of record can
// push out another: who reads much does not push out who changed what, and who
// is refused pushes out nothing but refusals.
const (
	granted = iota
	changes
	refused
)

// prefixes of the series' files. In the oldest layout the first had everything.
var prefixes = [...]string{granted: "audit-", changes: "change-", refused: "refused-"}

// seriesOf is where a record belongs.
func seriesOf(r *Record) int {
	switch {
	case !r.Granted:
		return refused
	case r.Outcome != nil:
		return changes
	}
	return granted
}

var errClosed = errors.New("the audit log is closed")

// Open makes the directory and continues the newest files. If a crash left half
// a line there, it is ended, and readers pass it over.
func Open(c Config) (*Log, error) {
	c = c.withDefaults()
	l := &Log{
		now: c.Now, log: c.Log, recent: newRecent(c.Recent), sample: newSample(c.Now), dir: c.Dir, scan: make(chan struct{}, 1),
	}
	for i, prefix := range prefixes {
		f := &files{dir: c.Dir, prefix: prefix, max: c.MaxFile, keep: c.Keep, age: c.MaxAge, now: c.Now, sync: c.Sync, log: c.Log}
		if i != granted {
			f.max = max(c.MaxFile/4, 1)
		}
		if i == refused {
			f.keep = c.KeepRefused
		}
		if err := f.open(); err != nil {
			return nil, fmt.Errorf("opening the audit log: %w", errors.Join(err, l.Close()))
		}
		f.prune()
		l.series[i] = &series{files: f}
	}
	return l, nil
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxFile <= 0 {
		c.MaxFile = 128 << 20
	}
	if c.Keep == 0 {
		c.Keep = 32
	}
	if c.KeepRefused <= 0 {
		c.KeepRefused = 16
	}
	if c.Recent <= 0 {
		c.Recent = 10_000
	}
	return c
}

// Append writes one record; it has reached the operating system (with
// Config.Sync, the disk) when Append returns nil. Concurrent calls share a
// write. After an error, of kind apierr.Unavailable, the record may be in the
// file nevertheless; the next Append starts afresh. The end of ctx ends the
// waiting, but does not take the record back.
//
// Of a source's refusals that come faster than it may fill files, some are
// counted only; a record of its own tells their number within a minute.
func (l *Log) Append(ctx context.Context, r *Record) error {
	buf := buffers.Get().(*[]byte)
	defer release(buf)
	at := r.Time
	if at.IsZero() {
		at = l.now()
	}
	*buf = appendRecord((*buf)[:0], r, at)

	if r.Granted || l.sample.keep(r, at) {
		if err := l.series[seriesOf(r)].append(ctx, *buf); err != nil {
			return err
		}
	}
	if !r.Granted {
		l.recent.add(r.ID, r.Correlation, *buf)
	}
	return nil
}

// Unrecorded is how many refusals were counted only.
func (l *Log) Unrecorded() uint64 { return l.sample.total.Load() }

// tendEvery is how often counts are written and old files looked for.
const tendEvery = time.Minute

// Run writes the counts of refusals that have no record of their own, and removes
// what is too old, until ctx ends.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		l.tend(ctx)
	}
}

func (l *Log) tend(ctx context.Context) {
	if err := l.summarise(ctx); err != nil {
		l.log.ErrorContext(ctx, "could not write how many more were refused", "error", err)
	}
	for _, s := range l.series {
		s.tend()
	}
}

// summarise writes a record for each source of refusals that have none.
func (l *Log) summarise(ctx context.Context) error {
	for _, r := range l.sample.take() {
		line := appendRecord(nil, &r, l.now())
		if err := l.series[refused].append(ctx, line); err != nil {
			l.sample.putBack(r)
			return err
		}
	}
	return nil
}

// Close ends the log; later Appends fail.
func (l *Log) Close() error {
	var faults []error
	if l.series[refused] != nil {
		faults = append(faults, l.summarise(context.Background()))
	}
	for _, s := range l.series {
		if s != nil {
			faults = append(faults, s.close())
		}
	}
	return errors.Join(faults...)
}
