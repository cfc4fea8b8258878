package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/lanyard-io/lanyard/internal/fault"
)

func TestHints(t *testing.T) {
	plain := errors.New("no room")
	inner := fault.WithHint(plain, "make room")
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"none":      {plain, ""},
		"one":       {inner, "make room"},
		"wrapped":   {fmt.Errorf("copying: %w", inner), "make room"},
		"outermost": {fault.WithHint(inner, "buy a disk"), "buy a disk"},
		"joined":    {errors.Join(plain, inner), "make room"},
	} {
		if got := fault.Hint(test.err); got != test.want || !errors.Is(test.err, plain) {
			t.Errorf("%s: hint %q, want %q", name, got, test.want)
		}
	}
	if fault.WithHint(nil, "x") != nil {
		t.Error("a hint made an error of nothing")
	}
	if inner.Error() != "no room" {
		t.Errorf("the hint is in the words: %q", inner)
	}
}

func TestParts(t *testing.T) {
	a, b, c := errors.New("a"), errors.New("b"), errors.New("c")
	joined := fault.WithHint(errors.Join(a, errors.Join(b, c)), "x")
	if got := fault.Parts(joined); len(got) != 3 || got[0] != a || got[2] != c {
		t.Errorf("parts of a joined error: %v", got)
	}
	wrapped := fmt.Errorf("reading: %w", errors.Join(a, b))
	if got := fault.Parts(wrapped); len(got) != 1 || got[0] != wrapped {
		t.Errorf("parts of a wrapped one: %v", got)
	}
}

func TestAbsent(t *testing.T) {
	err := fault.Absent("no vault %q", "x")
	if !fault.IsAbsent(fault.WithHint(fmt.Errorf("looking: %w", err), "list")) || err.Error() != `no vault "x"` {
		t.Errorf("%v is not absent", err)
	}
	if fault.IsAbsent(errors.New("no vault")) || fault.IsAbsent(nil) {
		t.Error("any error is absent")
	}
}
