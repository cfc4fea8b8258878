// Package audit keeps an append-only record of every decision. A request whose
// record cannot be written must fail; callers return Append's error.
package audit

import (
	"context"
	"log/slog"
	"time"

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
type Log struct{ _ int }

// Open makes the directory and continues the newest file.
func Open(c Config) (*Log, error) { panic("todo") }

// Append writes one record; it has reached the operating system (with
// Config.Sync, the disk) when Append returns nil. Concurrent calls share a write.
func (l *Log) Append(ctx context.Context, r *Record) error { panic("todo") }

// Find gives the records with this id or correlation id, oldest first: from
// memory if they are recent refusals, else from the files.
func (l *Log) Find(ctx context.Context, id string) ([]Record, error) { panic("todo") }

// Close ends the log; later Appends fail.
func (l *Log) Close() error { panic("todo") }
