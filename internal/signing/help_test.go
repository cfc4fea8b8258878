package signing

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: day0} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

// eventLog is a slog.Handler that passes on the messages.
type eventLog chan string

func (eventLog) Enabled(context.Context, slog.Level) bool        { return true }
func (l eventLog) Handle(_ context.Context, r slog.Record) error { l <- r.Message; return nil }
func (l eventLog) WithAttrs([]slog.Attr) slog.Handler            { return l }
func (l eventLog) WithGroup(string) slog.Handler                 { return l }

func newTestSealer(t testing.TB) *seal.Sealer {
	t.Helper()
	kek, err := seal.CreateKeyFile(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(kek)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newTestKeys(t testing.TB) *Keys {
	t.Helper()
	k, _ := newTestKeysAndClock(t)
	return k
}

func newTestKeysAndClock(t testing.TB) (*Keys, *clock) {
	t.Helper()
	clock := newClock()
	k, err := New(t.Context(), Config{Store: storetest.New(t), Sealer: newTestSealer(t), Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return k, clock
}

func newTestKeysOn(t testing.TB, st *store.Store, sealer *seal.Sealer) *Keys {
	t.Helper()
	k, err := New(t.Context(), Config{Store: st, Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustSign(t testing.TB, k *Keys, alg Alg) string {
	t.Helper()
	token, err := k.Sign(alg, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func headerOf(t testing.TB, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	return head
}

func entry(t testing.TB, st *store.Store) *store.Entry {
	t.Helper()
	v, err := st.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := v.Get(model.SigningKeysKey)
	if e == nil {
		t.Fatal("no signing keys in the store")
	}
	return e
}
