package signing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Alg is a signature algorithm that we sign with. Never taken from a token.
type Alg string

// The algorithms. ES256 is for our own surfaces, which alone verify it; Entra signs
// with RS256.
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
	// Period is the time for which a key signs. Default 30 days.
	Period time.Duration
	// Prepare is how long a key is published before it signs, so that every
	// cached JWKS has it. Shorter than Period. Default 25 hours.
	Prepare time.Duration
	// Lifetime is the longest life of a token: how long a retired key is still
	// published and accepted. Default 25 hours.
	Lifetime time.Duration
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Period == 0 {
		c.Period = 30 * 24 * time.Hour
	}
	if c.Prepare == 0 {
		c.Prepare = 25 * time.Hour
	}
	if c.Lifetime == 0 {
		c.Lifetime = 25 * time.Hour
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Prepare < 0 || c.Lifetime < 0:
		return errors.New("signing keys: prepare and lifetime must not be negative")
	case c.Period <= c.Prepare:
		return fmt.Errorf("signing keys: the period (%s) must be longer than prepare (%s)", c.Period, c.Prepare)
	}
	return nil
}

// Keys signs and verifies. It is safe for concurrent use.
type Keys struct {
	c    Config
	ring atomic.Pointer[ring]
	// seen is the revision of a View that holds no newer keys than ring.
	seen atomic.Int64

	loading sync.Mutex // held while ring is replaced

	refreshing sync.Mutex
	refreshed  *refresh // the newest; guarded by refreshing
}

// New loads the keys, and makes the first ones (active at once) in an empty
// store. It refuses keys that cannot be unsealed; it never replaces them.
func New(ctx context.Context, c Config) (*Keys, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	k := &Keys{c: c}
	v, err := c.Store.Fresh(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading the signing keys: %w", err)
	}
	if v.Get(model.SigningKeysKey) == nil {
		if v, err = k.create(ctx); err != nil {
			return nil, fmt.Errorf("making the first signing keys: %w", err)
		}
	}
	r, err := k.at(v)
	if err != nil {
		return nil, fmt.Errorf("loading the signing keys: %w", err)
	}
	if err := r.fault(); err != nil {
		return nil, fmt.Errorf("%w: start with the key file and the store that belong together; "+
			"no new key is made in its place, because tokens and clients rely on this one", err)
	}
	return k, nil
}

// create stores the first keys and gives a View that holds them, or those of
// another replica that came first.
func (k *Keys) create(ctx context.Context) (*store.View, error) {
	keys, _, err := k.schedule().advance(nil, k.now(), false, k.generate)
	if err != nil {
		return nil, err
	}
	_, err = k.c.Store.Put(ctx, &model.SigningKeys{Keys: keys}, 0)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return nil, err
	}
	return k.c.Store.Fresh(ctx)
}

// checkEvery is how often Run looks whether keys changed or are due.
const checkEvery = time.Second

// Run follows the store and rotates when it is time, until ctx ends.
func (k *Keys) Run(ctx context.Context) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	failing := false
	for {
		_, err := k.Rotate(ctx, false)
		if err == nil {
			err = k.unsealAgain()
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			k.c.Log.ErrorContext(ctx, "keeping the signing keys failed; trying again every second", "error", err)
		}
		if err == nil && failing {
			k.c.Log.InfoContext(ctx, "keeping the signing keys works again")
		}
		failing = err != nil

		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// JWKS is the published document: prepared, active and retired keys.
func (k *Keys) JWKS() *Document { return k.latest().document }

// Status lists the keys, for people and metrics; without their private parts.
func (k *Keys) Status() []model.SigningKey {
	keys := slices.Clone(k.latest().stored)
	for i := range keys {
		keys[i].Sealed = nil
		keys[i].Public = slices.Clone(keys[i].Public)
	}
	return keys
}

func (k *Keys) schedule() schedule {
	return schedule{period: k.c.Period, prepare: k.c.Prepare, lifetime: k.c.Lifetime}
}

// now is the time as it is stored: in UTC and without a monotonic part.
func (k *Keys) now() time.Time { return k.c.Now().UTC().Round(0) }
