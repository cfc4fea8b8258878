package obs

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// NewLogger writes events of at least this level to w as "json" or, for any
// other format, as text. Events of a request carry its request_id and
// correlation_id.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	var h slog.Handler
	if format == "json" {
		h = slog.NewJSONHandler(w, o)
	} else {
		o.ReplaceAttr = exportedOnly
		h = slog.NewTextHandler(w, o)
	}
	return slog.New(&handler{root: h, next: h})
}

// OpenLog is NewLogger for the words of flags, which it checks.
func OpenLog(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	var faults []error
	if l.UnmarshalText([]byte(level)) != nil {
		faults = append(faults, fmt.Errorf("log level %q: want debug, info, warn or error", level))
	}
	if format != "json" && format != "text" {
		faults = append(faults, fmt.Errorf("log format %q: want json or text", format))
	}
	return NewLogger(w, format, l), errors.Join(faults...)
}

// exportedOnly has the text handler print structs as JSON. It would print them
// with %+v, which reaches a Secret in an unexported field without asking it.
func exportedOnly(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindAny {
		return a
	}
	switch v := a.Value.Any().(type) {
	case nil, error, encoding.TextMarshaler, *slog.Source:
	case fmt.Stringer:
		a.Value = slog.StringValue(v.String())
	default:
		b, err := json.Marshal(v)
		if err != nil {
			b = fmt.Appendf(nil, "%T", v)
		}
		a.Value = slog.StringValue(string(b))
	}
	return a
}

// handler adds the context's request to each event, outside every group.
type handler struct {
	root  slog.Handler
	next  slog.Handler                    // what events without a request go to
	group func(slog.Handler) slog.Handler // nil until WithGroup; then what makes next from root
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	q := RequestFrom(ctx)
	if q.ID == "" {
		return h.next.Handle(ctx, r)
	}
	ids := []slog.Attr{slog.String("request_id", q.ID), slog.String("correlation_id", q.Correlation)}
	if h.group != nil {
		return h.group(h.root.WithAttrs(ids)).Handle(ctx, r)
	}
	r = r.Clone()
	r.AddAttrs(ids...)
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if h.group == nil {
		next := h.next.WithAttrs(attrs)
		return &handler{root: next, next: next}
	}
	return h.derive(func(x slog.Handler) slog.Handler { return x.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.derive(func(x slog.Handler) slog.Handler { return x.WithGroup(name) })
}

func (h *handler) derive(step func(slog.Handler) slog.Handler) slog.Handler {
	before := h.group
	group := func(x slog.Handler) slog.Handler {
		if before != nil {
			x = before(x)
		}
		return step(x)
	}
	return &handler{root: h.root, next: group(h.root), group: group}
}
