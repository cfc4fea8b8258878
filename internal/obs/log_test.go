package obs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEventsCarryTheRequest(t *testing.T) {
	ctx := WithRequest(context.Background(), &Request{ID: "r1", Correlation: "c1"})
	ids := map[string]any{"request_id": "r1", "correlation_id": "c1"}
	with := func(more map[string]any) map[string]any {
		for k, v := range ids {
			more[k] = v
		}
		return more
	}
	tests := []struct {
		name string
		ctx  context.Context
		log  func(*slog.Logger) *slog.Logger
		want map[string]any
	}{
		{"plain", ctx, func(l *slog.Logger) *slog.Logger { return l }, with(map[string]any{"k": "v"})},
		{"no-request", context.Background(), func(l *slog.Logger) *slog.Logger { return l }, map[string]any{"k": "v"}},
		{"with-attrs", ctx, func(l *slog.Logger) *slog.Logger { return l.With("a", "b") }, with(map[string]any{"a": "b", "k": "v"})},
		{"in-groups", ctx, func(l *slog.Logger) *slog.Logger {
			return l.With("a", "b").WithGroup("g").With("c", "d").WithGroup("").WithGroup("h")
		}, with(map[string]any{"a": "b", "g": map[string]any{"c": "d", "h": map[string]any{"k": "v"}}})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			tt.log(NewLogger(&out, "json", slog.LevelInfo)).InfoContext(tt.ctx, "event", "k", "v")
			var got map[string]any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			for _, k := range []string{"time", "level", "msg"} {
				delete(got, k)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLevel(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, "text", slog.LevelWarn)
	log.Info("quiet")
	log.Warn("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "loud") {
		t.Errorf("at level warn the log is %q", got)
	}
}

type holder struct {
	Open   Secret
	closed Secret
	Deep   map[string]*Secret
}

func TestSecretsAreNotPrinted(t *testing.T) {
	const plain = "hunter2"
	s := Secret(plain)
	h := holder{Open: s, closed: s, Deep: map[string]*Secret{"k": &s}}

	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := NewLogger(&out, format, slog.LevelInfo)
		log.With("with", s).Info("event", "secret", s, "pointer", &s, "struct", h, "structs", []holder{h},
			"error", fmt.Errorf("trying %s: %w", s, errors.New("no")), "any", any(s), slog.Group("g", "in", s))
		if got := out.String(); strings.Contains(got, plain) || strings.Count(got, hidden) < 7 {
			t.Errorf("%s log: %s", format, got)
		}
	}

	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%X", "%d", "%t", "%c", "%10s"} {
		if got := fmt.Sprintf(verb, s); got != hidden {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	if got, err := json.Marshal(h); err != nil || strings.Contains(string(got), plain) {
		t.Errorf("marshalled: %s, %v", got, err)
	}
	if string(s) != plain {
		t.Error("the secret cannot be used")
	}
}

func TestTextLogOfPlainValues(t *testing.T) {
	var out bytes.Buffer
	NewLogger(&out, "text", slog.LevelInfo).Info("event", "list", []string{"a", "b"}, "nil", nil, "bad", func() {})
	got := strings.TrimSpace(out.String())
	if want := `msg=event list="[\"a\",\"b\"]" nil=<nil> bad=func()`; !strings.HasSuffix(got, want) {
		t.Errorf("log %s, want suffix %s", got, want)
	}
}
