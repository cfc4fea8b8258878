// Package signing owns the token service's own keys: it makes them, publishes
// them, rotates them by compare-and-swap, signs with the active one and
// verifies what it signed. Other people's keys are package trust's.
package signing

import (
	"context"
	"log/slog"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Alg is a signature algorithm that we sign with. Never taken from a token.
type Alg string

// The algorithms. ES256 is for our own surfaces, which alone verify it; RS256 is
// what Entra signs with.
const (
	ES256 Alg = "ES256"
	RS256 Alg = "RS256"
)

// Config for New.
type Config struct {
	Store  *store.Store
	Sealer *seal.Sealer
	Log    *slog.Logger
	Now    func() time.Time
	// Period is how long a key signs before the next takes over. Default 30 days.
	Period time.Duration
	// Prepare is how long a key is published before it signs, so that every
	// cached JWKS has it. Default 25 hours.
	Prepare time.Duration
	// Lifetime is the longest life of a token: how long a retired key is still
	// published and accepted. Default 25 hours.
	Lifetime time.Duration
}

// Keys signs and verifies. It is safe for concurrent use.
type Keys struct{ _ int }

// Document is the published JWKS, rendered once per change.
type Document struct {
	Body []byte
	ETag string // quoted
}

// New loads the keys, and makes the first ones (active at once) in an empty store.
func New(ctx context.Context, c Config) (*Keys, error) { panic("todo") }

// Run follows the store and rotates when it is time, until ctx ends.
func (k *Keys) Run(ctx context.Context) error { panic("todo") }

// Rotate prepares, activates, retires and drops keys as their times have come;
// with force, a new key takes over signing at once. It says whether this call
// changed anything: losing the race to another replica is not an error.
func (k *Keys) Rotate(ctx context.Context, force bool) (changed bool, err error) { panic("todo") }

// Sign makes a compact JWT of the claims, which are JSON, with the active key
// of alg; its header is typ, alg, kid and x5t (the same value as kid).
func (k *Keys) Sign(alg Alg, claims []byte) (string, error) { panic("todo") }

// Verify checks a compact JWT that one of our published keys signed, and
// returns its claims as JSON. It checks the signature only, not the times. The
// error is apierr.Unauthenticated.
func (k *Keys) Verify(token string) (claims []byte, err error) { panic("todo") }

// JWKS is the published document: prepared, active and retired keys.
func (k *Keys) JWKS() *Document { panic("todo") }

// Status lists the keys, for people and metrics; without their private parts.
func (k *Keys) Status() []model.SigningKey { panic("todo") }
