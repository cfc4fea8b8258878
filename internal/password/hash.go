package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// What a new hash costs: 19 MiB, two passes.
// https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
const (
	memoryKiB  = 19 << 10
	passes     = 2
	threads    = 1
	saltLength = 16
	keyLength  = 32
)

// Limits of the stored parameters: a hash that costs more is not computed.
const (
	maxMemoryKiB = 64 << 10
	maxPasses    = 10
	maxThreads   = 4
	maxLength    = 256 // of an encoded hash
)

// Limits of a Hasher: its memory is slots times what one hash costs.
const (
	slots   = 2
	waiting = 256 // more are turned away at once
)

// Hasher computes and checks hashes, a few at a time.
type Hasher struct {
	slots chan struct{}
	queue chan struct{}
	// none is a hash that no password has; it costs what a user's costs.
	none hash
}

// NewHasher makes a Hasher.
func NewHasher() *Hasher {
	return &Hasher{slots: make(chan struct{}, slots), queue: make(chan struct{}, slots+waiting), none: newHash()}
}

// hash is an Argon2id hash with its parameters.
type hash struct {
	memory  uint32
	passes  uint32
	threads uint8
	salt    []byte
	key     []byte
}

func newHash() hash {
	h := hash{memory: memoryKiB, passes: passes, threads: threads, salt: make([]byte, saltLength), key: make([]byte, keyLength)}
	rand.Read(h.salt)
	return h
}

func (h *hash) of(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.threads, uint32(len(h.key)))
}

// Hash computes a new hash, encoded with its parameters. It waits for its turn;
// when too many wait, or ctx ends, the error has kind Throttled or Timeout.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	made := newHash()
	err := h.inTurn(ctx, func() { made.key = made.of(password) })
	if err != nil {
		return "", err
	}
	return made.encode(), nil
}

// Verify says whether a password has a hash. With an empty hash, for a user that
// there is not, it says no, after the same work.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (bool, error) {
	stored := h.none
	if encoded != "" {
		var err error
		if stored, err = parse(encoded); err != nil {
			return false, err
		}
	}
	same := 0
	err := h.inTurn(ctx, func() { same = subtle.ConstantTimeCompare(stored.of(password), stored.key) })
	return same == 1 && encoded != "", err
}

func (h *Hasher) inTurn(ctx context.Context, work func()) error {
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return apierr.New(apierr.Throttled, "Too many people sign in at this moment. Try again.")
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return apierr.Wrap(ctx.Err(), apierr.Timeout, "The request waited too long for its turn. Try again.")
	}
	work()
	return nil
}

const prefix = "$argon2id$v=19$"

// encode writes the usual form, $argon2id$v=19$m=…,t=…,p=…$SALT$KEY.
func (h *hash) encode() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("%sm=%d,t=%d,p=%d$%s$%s", prefix, h.memory, h.passes, h.threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

var errMalformed = errors.New("the stored password hash is malformed")

func parse(encoded string) (h hash, err error) {
	rest, ok := strings.CutPrefix(encoded, prefix)
	parts := strings.Split(rest, "$")
	if !ok || len(encoded) > maxLength || len(parts) != 3 {
		return h, errMalformed
	}
	values := strings.Split(parts[0], ",")
	if len(values) != 3 {
		return h, errMalformed
	}
	var numbers [3]uint64
	for i, p := range []struct {
		name string
		most uint64
	}{{"m=", maxMemoryKiB}, {"t=", maxPasses}, {"p=", maxThreads}} {
		digits, ok := strings.CutPrefix(values[i], p.name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || n < 1 || n > p.most {
			return h, errMalformed
		}
		numbers[i] = n
	}
	h.memory, h.passes, h.threads = uint32(numbers[0]), uint32(numbers[1]), uint8(numbers[2])
	b64 := base64.RawStdEncoding.Strict()
	var saltErr, keyErr error
	h.salt, saltErr = b64.DecodeString(parts[1])
	h.key, keyErr = b64.DecodeString(parts[2])
	if saltErr != nil || keyErr != nil || len(h.salt) < saltLength || len(h.key) != keyLength {
		return h, errMalformed
	}
	return h, nil
}
