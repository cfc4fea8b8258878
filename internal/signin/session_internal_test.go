package signin

import (
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

func FuzzSecretToken(f *testing.F) {
	f.Add(newSecretToken().String())
	f.Add("lrt1..")
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := parseSecretToken(s); ok && got.String() != s {
			t.Fatalf("parseSecretToken(%q) = %q", s, got)
		}
	})
}

// The tenth failure locks for a minute, each further one for twice as long, and none for
// more than an hour. Attempts while it lasts do not make it longer.
func TestLocksGrow(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var c model.SignIns
	for _, want := range []time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60, 60} {
		if locked := addFailure(&c, now); !locked.IsZero() {
			t.Fatalf("failure %d finds a lock until %v at %v", c.Failures, locked, now)
		}
		end := c.Locked
		if want == 0 {
			if !end.IsZero() {
				t.Errorf("failure %d locks", c.Failures)
			}
			continue
		}
		if got := end.Sub(now); got != want*time.Minute {
			t.Errorf("failure %d locks for %v, want %v", c.Failures, got, want*time.Minute)
		}
		if locked := addFailure(&c, end.Add(-1)); !locked.Equal(end) || !c.Locked.Equal(end) {
			t.Errorf("a try while it is locked: until %v, then %v, want %v", locked, c.Locked, end)
		}
		now = end
	}
	if addFailure(&c, now.Add(forgetAfter+1)); c.Failures != 1 {
		t.Errorf("a day later %d failures are counted", c.Failures)
	}
}
