package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyard-io/lanyard/internal/egress"
)

// What an error is, for errors.Is. An error of none of these kinds is the
// cluster's own trouble.
var (
	ErrNotFound     = errors.New("not found")
	ErrConflict     = errors.New("conflict")     // changed meanwhile, or there already
	ErrInvalid      = errors.New("invalid")      // the object, or an admission webhook refused it
	ErrForbidden    = errors.New("forbidden")    // known to the cluster, but not allowed
	ErrUnauthorized = errors.New("unauthorized") // not known to the cluster
	ErrUnreachable  = errors.New("unreachable")  // no API server answered
)

// Error is what went wrong with a call, in words for a person. It never holds a
// credential.
type Error struct {
	Status  int // of HTTP; 0 when nothing answered
	Message string
	kind    error
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.kind }

// explain makes an *Error of what client-go returns. Contexts' errors stay visible.
func (k *Cluster) explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return k.explainStatus(status)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	kind := ErrUnreachable
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // an alert of TLS
		kind = ErrUnauthorized
	}
	why := egress.Why(err, k.roots)
	if errors.Is(err, errRedirect) {
		why = errRedirect.Error()
	}
	return &Error{Message: "cannot reach the API server " + k.server.Host + ": " + why, kind: kind}
}

func (k *Cluster) explainStatus(status apierrors.APIStatus) error {
	s := status.Status()
	e := &Error{Status: int(s.Code), Message: egress.Printable(s.Message, maxMessage)}
	if unlikeKubernetes(&s) {
		e.Message = fmt.Sprintf("the API server %s answers %d, and not like Kubernetes", k.server.Host, s.Code)
	}
	switch s.Code {
	case 401:
		e.kind = ErrUnauthorized
		e.Message = fmt.Sprintf("the API server %s does not accept the credentials: they expired, were withdrawn, or are another cluster's", k.server.Host)
	case 403:
		e.kind = ErrForbidden
	case 404, 410:
		e.kind = ErrNotFound
	case 409:
		e.kind = ErrConflict
	case 400, 405, 413, 415, 422:
		e.kind = ErrInvalid
	case 429, 502, 503, 504:
		e.kind = ErrUnreachable
	}
	if e.Message == "" {
		e.Message = fmt.Sprintf("the API server answers %d", s.Code)
	}
	return e
}

// unlikeKubernetes says whether client-go made the status, of an answer that was
// none: then its message repeats what was answered.
func unlikeKubernetes(s *metav1.Status) bool {
	return s.Details != nil && slices.ContainsFunc(s.Details.Causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeUnexpectedServerResponse })
}

// sanitize is an error without the URL of a request, whose query and user part
// are nobody's business.
func sanitize(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return errors.New(op.Error())
	}
	return err
}
