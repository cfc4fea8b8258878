package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	host := k.server.Host
	fail := func(kind error, format string, args ...any) error {
		return &Error{Message: fmt.Sprintf(format, args...), kind: kind}
	}
	text := sanitize(err).Error()
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var verify *tls.CertificateVerificationError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &tooLarge):
		return fail(ErrUnreachable, "the API server %s answers more than %d MiB", host, tooLarge.Limit>>20)
	case errors.Is(err, context.DeadlineExceeded):
		return fail(ErrUnreachable, "the API server %s does not answer in time", host)
	case errors.As(err, &unknown):
		return fail(ErrUnreachable, "the certificate of %s is not signed by the kubeconfig's CA: is it another cluster's?", host)
	case errors.As(err, &wrongName):
		return fail(ErrUnreachable, "the certificate of %s is for other names: %s", host, wrongName.Error())
	case errors.As(err, &verify):
		return fail(ErrUnreachable, "the certificate of %s is not valid: %s", host, verify.Err)
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return fail(ErrUnreachable, "%s speaks plain HTTP: it is no Kubernetes API server", host)
	case strings.Contains(text, "remote error: tls:"):
		return fail(ErrUnauthorized, "the API server %s refuses the client certificate (%s)", host, text)
	}
	return fail(ErrUnreachable, "cannot reach the API server %s: %s", host, text)
}

func (k *Cluster) explainStatus(status apierrors.APIStatus) error {
	s := status.Status()
	e := &Error{Status: int(s.Code), Message: fmt.Sprintf("%.*s", maxMessage, s.Message)}
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
