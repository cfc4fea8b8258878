package trust

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
)

// outcome is how a fetch ended: a metric label, and a sentence for callers.
type outcome string

const (
	outcomeOK       outcome = "ok"
	outcomeIssuer   outcome = "issuer"
	outcomeTimeout  outcome = "timeout"
	outcomeDNS      outcome = "dns"
	outcomeNetwork  outcome = "network"
	outcomeTLS      outcome = "tls"
	outcomeAddress  outcome = "address"
	outcomeRedirect outcome = "redirect"
	outcomeStatus   outcome = "status"
	outcomeTooLarge outcome = "too_large"
	outcomeInvalid  outcome = "invalid"
	outcomeMismatch outcome = "mismatch"
)

// sentence tells a caller what happened. It names no address and repeats
// nothing that the other side sent.
func (o outcome) sentence() string {
	switch o {
	case outcomeIssuer:
		return "the issuer is not an https URL without user, query and fragment"
	case outcomeTimeout:
		return "it did not answer in time"
	case outcomeDNS:
		return "the host name could not be resolved"
	case outcomeTLS:
		return "its certificate is not trusted; register the issuer's CA, or upload its keys"
	case outcomeAddress:
		return "an address is not allowed"
	case outcomeRedirect:
		return "it redirects too often or to another host"
	case outcomeStatus:
		return "it did not answer with status 200"
	case outcomeTooLarge:
		return "a document is too large"
	case outcomeInvalid:
		return "a document is not a valid discovery document or key set, or has too many keys"
	case outcomeMismatch:
		return "its discovery document names another issuer"
	}
	return "the connection failed"
}

// fetchError is a failure whose outcome is known where it happens.
type fetchError struct {
	outcome outcome
	err     error
}

func fail(o outcome, err error) error { return &fetchError{o, err} }

func (e *fetchError) Error() string { return e.err.Error() }
func (e *fetchError) Unwrap() error { return e.err }

func outcomeOf(err error) outcome {
	if err == nil {
		return outcomeOK
	}
	if e, ok := errors.AsType[*fetchError](err); ok {
		return e.outcome
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return outcomeTimeout
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return outcomeDNS
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return outcomeTLS
	}
	return outcomeNetwork
}
