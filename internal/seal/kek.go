package seal

import (
	"context"
	"errors"
	"time"
)

// KEK is a key-encryption key: it wraps the data keys. It is asked at the start and
// when data keys rotate, never on a request, so it may be in another process or on
// another machine. What Wrap gives is stored as it is, and names the key in its own way.
type KEK interface {
	// Wrap encrypts a key, bound to the associated data.
	Wrap(ctx context.Context, key, associated []byte) ([]byte, error)
	// Unwrap gives back what Wrap took, for the same associated data alone. ErrWrongKey
	// is in the chain for what another key wrapped.
	Unwrap(ctx context.Context, wrapped, associated []byte) ([]byte, error)
	// ID names the key that wraps now. It is no secret.
	ID() string
}

var (
	// ErrWrongKey is in the chain when the key-encryption key cannot open a keyset.
	ErrWrongKey = errors.New("the key file does not open this store")
	// ErrAway is in the chain when the key-encryption key could not be asked: it may
	// answer later.
	ErrAway = errors.New("the key-encryption key does not answer")
)

const (
	// askTimeout ends one question to the key-encryption key.
	askTimeout = 10 * time.Second
	// Pauses while it is away, doubling.
	firstPause, longestPause = time.Second, 30 * time.Second
)

// Await asks until the answer is not ErrAway, or ctx ends. away is told of every
// question that was in vain, and when the next one comes.
func Await(ctx context.Context, ask func(context.Context) error, away func(err error, pause time.Duration)) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := ask(ctx)
		if !errors.Is(err, ErrAway) {
			return err
		}
		away(err, pause)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}
