package embedded

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo sends etcd's warnings and errors to log while serving is true. Those of
// a start or a stop, where a failure is returned as an error, are for debugging.
// An error with which etcd would end the process goes to f as well.
func zapTo(log *slog.Logger, serving *atomic.Bool, f *fatal) *zap.Logger {
	return zap.New(&core{log: log.With("part", "etcd"), serving: serving}, zap.WithFatalHook(f), zap.WithPanicHook(f))
}

// core is a zapcore.Core that writes to slog.
type core struct {
	log     *slog.Logger
	serving *atomic.Bool
	fields  []zapcore.Field
}

// Enabled implements zapcore.LevelEnabler.
func (c *core) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

// With implements zapcore.Core.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.log, c.serving, append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

// Check implements zapcore.Core.
func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write implements zapcore.Core.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(enc)
	}
	c.log.Log(context.Background(), c.level(e), "etcd says", "message", e.Message, "fields", enc.Fields)
	return nil
}

func (c *core) level(e zapcore.Entry) slog.Level {
	switch {
	case !c.serving.Load():
		return slog.LevelDebug
	case e.Message == "Failed to detect schema version", e.Message == "failed to update storage version":
		return slog.LevelDebug // a new store's first seconds: etcd tries again and succeeds
	case e.Level >= zapcore.ErrorLevel:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// Sync implements zapcore.Core.
func (c *core) Sync() error { return nil }
