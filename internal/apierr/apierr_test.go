package apierr_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

type code struct{ kind apierr.Kind }

func (*code) Error() string       { return "code" }
func (c *code) Kind() apierr.Kind { return c.kind }

func TestCodeOf(t *testing.T) {
	own, invalid, internal := &code{apierr.NotFound}, &code{apierr.Invalid}, &code{apierr.Internal}
	plain := map[apierr.Kind]*code{apierr.Invalid: invalid, apierr.Internal: internal}
	for name, tt := range map[string]struct {
		err  error
		want *code
	}{
		"own":          {apierr.Fail(own, "no %s", "x"), own},
		"wrapped":      {fmt.Errorf("doing: %w", apierr.Fail(own, "no")), own},
		"of-its-kind":  {apierr.New(apierr.Invalid, "bad"), invalid},
		"unknown-kind": {apierr.New(apierr.Timeout, "late"), internal},
		"foreign":      {io.EOF, internal},
	} {
		if got := apierr.CodeOf(tt.err, plain); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	err := apierr.Fail(own, "no %s", "x")
	if apierr.KindOf(err) != apierr.NotFound || apierr.Detail(err) != "no x" || !errors.Is(err, own) {
		t.Errorf("%v: kind %v, detail %q", err, apierr.KindOf(err), apierr.Detail(err))
	}
}

func TestShown(t *testing.T) {
	for _, tt := range []struct{ in, shown, quoted string }{
		{"plain", "plain", `"plain"`},
		{"a\r\nb\x1b", "a��b�", `"a\r\nb\x1b"`},
		{"12345678", "12345678", `"12345678"`},
		{"123456789", "12345678…", `"12345678…"`},
		{"1234567é", "1234567…", `"1234567…"`},
	} {
		if got := apierr.Shown(tt.in, 8); got != tt.shown {
			t.Errorf("Shown(%q) = %q, want %q", tt.in, got, tt.shown)
		}
		if got := apierr.Quoted(tt.in, 8); got != tt.quoted {
			t.Errorf("Quoted(%q) = %s, want %s", tt.in, got, tt.quoted)
		}
	}
}
