package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"unicode"
)

// Why says why a request brought no answer, as the end of a sentence about the
// server: "it does not answer in time". It repeats nothing that the other side said,
// which may be anybody's: only the names in a certificate that roots have signed.
func Why(err error, roots *x509.CertPool) string {
	if a, ok := errors.AsType[*AddressError](err); ok {
		return "it is at an address that is not allowed, " + a.Address.String()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout {
		return "its name does not resolve"
	}
	if why := whyTLS(err, roots); why != "" {
		return why
	}
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isNet && timeout.Timeout():
		return "it does not answer in time"
	case errors.Is(err, context.Canceled):
		return "the request was given up"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refuses the connection"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to its address"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends the connection"
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return "it answers without end"
	}
	return "it does not answer as it should"
}

func whyTLS(err error, roots *x509.CertPool) string {
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		if _, err := e.Certificate.Verify(x509.VerifyOptions{Roots: roots}); err == nil && roots != nil {
			return "its certificate is for other names: " + names(e.Certificate)
		}
		return "its certificate is for other names"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "its certificate has expired, or is not valid yet"
		}
		return "its certificate is not valid"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is not signed by the CA that was given"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not valid"
	}
	_, record := errors.AsType[tls.RecordHeaderError](err)
	if record || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return "it does not speak TLS"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return "it refuses the client certificate or the handshake" // with an alert
	}
	return ""
}

// names is what a certificate is for, cut short.
func names(c *x509.Certificate) string {
	all := c.DNSNames
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	const most = 20
	if len(all) > most {
		all = append(all[:most:most], "…")
	}
	return Printable(strings.Join(all, ", "), 500)
}

// Printable makes somebody else's words fit to show: at most so many bytes of them,
// in one line.
func Printable(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}
