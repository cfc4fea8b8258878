package store

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// writeError says what became of a write that etcd did not answer with yes or no.
func writeError(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return apierr.Wrap(fmt.Errorf("%w: %w", ErrFull, err), apierr.Unavailable, "The server's store is full.")
	case errors.Is(err, rpctypes.ErrRequestTooLarge), code(err) == codes.ResourceExhausted && !errors.Is(err, rpctypes.ErrTooManyRequests):
		return apierr.Wrap(err, apierr.TooLarge, "The request is too large to be stored.")
	case passing(err):
		return apierr.Wrap(err, apierr.Unavailable, "The server's store did not answer. The change may or may not have been stored.")
	}
	return fmt.Errorf("writing to etcd: %w", err)
}

// readError is the same for a read.
func readError(err error) error {
	if passing(err) {
		return apierr.Wrap(err, apierr.Unavailable, "The server's store did not answer.")
	}
	return fmt.Errorf("reading from etcd: %w", err)
}

// passing reports whether err is about reaching etcd, not about what was asked.
func passing(err error) bool {
	switch code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		return true
	}
	return false
}

func code(err error) codes.Code {
	if errors.Is(err, context.DeadlineExceeded) {
		return codes.DeadlineExceeded
	}
	if errors.Is(err, context.Canceled) {
		return codes.Canceled
	}
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return e.Code()
	}
	return status.Code(err)
}
