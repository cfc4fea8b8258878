package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// heedMemoryLimit tells the garbage collector what the container may have, so that
// it works harder near the limit rather than be killed at it. GOMEMLIMIT, when it is
// set, is heeded instead.
func heedMemoryLimit(ctx context.Context, log *slog.Logger) {
	limit, err := memlimit.Set()
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup) || errors.Is(err, memlimit.ErrCgroupsNotSupported):
		return // no container
	case err != nil:
		log.WarnContext(ctx, "could not read the container's memory limit", "error", err)
		return
	}
	log.DebugContext(ctx, "memory limit of the garbage collector", "bytes", limit)
}
