package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// writeError words the fate of a write that etcd answered with neither yes nor no.
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

// unsentError is for a write that no member of etcd has taken.
func unsentError(err error) error {
	return apierr.Wrap(err, apierr.Unavailable, "The server's store did not answer. The change was not stored.")
}

// unsent reports whether etcd surely did nothing with a write, and may do it a
// moment later or through another member.
func unsent(err error) bool {
	return errors.Is(err, rpctypes.ErrNoLeader) || errors.Is(err, rpctypes.ErrTooManyRequests) ||
		err != nil && strings.Contains(err.Error(), raftDropped)
}

// raftDropped is raft's word for a write that came while there was no leader. It
// has no code of its own.
const raftDropped = "raft proposal dropped"

// readError is the same for a read.
func readError(err error) error {
	if passing(err) {
		return apierr.Wrap(err, apierr.Unavailable, "The server's store did not answer.")
	}
	return fmt.Errorf("reading from etcd: %w", err)
}

// elsewhere reports whether another member may answer where one gave err. One
// that is about to stop has no code for that.
func elsewhere(err error) bool { return passing(err) || code(err) == codes.Unknown }

// passing reports whether err is about reaching etcd, not about the request.
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
