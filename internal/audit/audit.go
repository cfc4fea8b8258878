package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
)

// Record is one decision. It never holds a secret, a token or a signature.
type Record struct {
	Time        time.Time     `json:"time"`
	ID          string        `json:"id"`          // the request's id (trace id)
	Correlation string        `json:"correlation"` // the client's id for it
	Remote      string        `json:"remote,omitempty"`
	Action      string        `json:"action"`   // such as Microsoft.KeyVault/vaults/secrets/getSecret/action
	Resource    string        `json:"resource"` // ARM id, vault path or client id
	Granted     bool          `json:"granted"`
	Reason      string        `json:"reason,omitempty"` // a sentence: why granted or refused
	Code        string        `json:"code,omitempty"`   // the wire's code of a refusal: AADSTS700213, ForbiddenByPolicy
	Caller      *model.Caller `json:"caller,omitempty"`
	Exchange    *Exchange     `json:"exchange,omitempty"`
}

// Exchange is what a token request presented, and what was registered.
type Exchange struct {
	ClientID  string   `json:"clientId,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	Method    string   `json:"method,omitempty"` // secret, certificate, federated
	Issuer    string   `json:"issuer,omitempty"`
	Subject   string   `json:"subject,omitempty"`
	Audiences []string `json:"audiences,omitempty"`
	KeyID     string   `json:"kid,omitempty"`
	Algorithm string   `json:"alg,omitempty"`
	Expires   string   `json:"exp,omitempty"` // RFC 3339
	NotBefore string   `json:"nbf,omitempty"`
	TokenID   string   `json:"uti,omitempty"` // of the token that was issued
	// Registered are the client's credentials as they were (at most 20).
	Registered []Registered `json:"registered,omitempty"`
	Differed   []string     `json:"differed,omitempty"` // of issuer, subject, audience, key, time, signature
	Hint       string       `json:"hint,omitempty"`     // the likely mend
}

// Registered is one federated credential of the client.
type Registered struct {
	Name       string `json:"name"`
	Issuer     string `json:"issuer"`
	Subject    string `json:"subject,omitempty"`
	Expression string `json:"expression,omitempty"`
	Audience   string `json:"audience"`
}

// Config for Open.
type Config struct {
	Dir     string // of the files; made 0700
	Log     *slog.Logger
	Now     func() time.Time
	MaxFile int64 // bytes before a new file is begun; default 128 MiB
	Keep    int   // files kept; default 32, 0 = default, < 0 = all
	Sync    bool  // fsync before Append returns; concurrent appends share one
	Recent  int   // refusals kept in memory for Find; default 10,000
}

// Log is an open audit log: JSON lines in 0600 files.
type Log struct {
	now    func() time.Time
	recent *recent
	dir    string
	scan   chan struct{} // holds one token while files are searched

	mu   sync.Mutex
	next *batch // the batch that may be joined; nil when there is none; guarded by mu

	writing sync.Mutex
	files   *files // guarded by writing
}

// batch is the records that one write(2) puts into the file.
type batch struct {
	data *[]byte       // pooled; guarded by Log.mu until the batch is taken
	done chan struct{} // closed when err is final
	err  error
}

func (b *batch) wait(ctx context.Context) error {
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-b.done: // both were ready
		return nil
	default:
		return ctx.Err()
	}
}

var errClosed = errors.New("the audit log is closed")

// Open makes the directory and continues the newest file. If a crash left half
// a line there, it is ended, and readers pass it over.
func Open(c Config) (*Log, error) {
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
	if c.Recent <= 0 {
		c.Recent = 10_000
	}
	f := &files{dir: c.Dir, max: c.MaxFile, keep: c.Keep, sync: c.Sync, log: c.Log}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	f.prune()
	return &Log{
		now: c.Now, recent: newRecent(c.Recent), dir: c.Dir,
		scan: make(chan struct{}, 1), files: f,
	}, nil
}

// Append writes one record; it has reached the operating system (with
// Config.Sync, the disk) when Append returns nil. Concurrent calls share a
// write. After an error, of kind apierr.Unavailable, the record may be in the
// file nevertheless; the next Append starts afresh. The end of ctx ends the
// waiting, but does not take the record back.
func (l *Log) Append(ctx context.Context, r *Record) error {
	buf := buffers.Get().(*[]byte)
	defer release(buf)
	at := r.Time
	if at.IsZero() {
		at = l.now()
	}
	*buf = appendRecord((*buf)[:0], r, at)

	b, first := l.join(*buf)
	if first {
		l.commit(b)
	} else if err := b.wait(ctx); err != nil {
		return apierr.Wrap(err, apierr.Unavailable, "the audit log did not answer in time")
	}
	if b.err != nil {
		return apierr.Wrap(b.err, apierr.Unavailable, "the audit log cannot be written")
	}
	if !r.Granted {
		l.recent.add(r.ID, r.Correlation, *buf)
	}
	return nil
}

// join puts a line into the next batch. Whoever comes first must commit it.
func (l *Log) join(line []byte) (b *batch, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = l.next == nil
	if first {
		l.next = &batch{data: buffers.Get().(*[]byte), done: make(chan struct{})}
		*l.next.data = (*l.next.data)[:0]
	}
	*l.next.data = append(*l.next.data, line...)
	return l.next, first
}

// commit writes the batch. While it waits for the one before, others join.
func (l *Log) commit(b *batch) {
	l.writing.Lock()
	runtime.Gosched() // who is ready to run may join: fewer, larger writes under load
	l.mu.Lock()
	l.next = nil
	l.mu.Unlock()
	b.err = l.files.write(*b.data)
	l.writing.Unlock()
	release(b.data)
	close(b.done)
}

// Close ends the log; later Appends fail.
func (l *Log) Close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.files.close()
}

// buffers hold one line, or one batch of them.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// maxPooled keeps a rare large buffer from being held for ever.
const maxPooled = 256 << 10

func release(b *[]byte) {
	if cap(*b) <= maxPooled {
		buffers.Put(b)
	}
}
