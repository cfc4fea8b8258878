package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is how a listener's certificate is.
type State struct {
	NotBefore, NotAfter time.Time
	// Failure of the last attempt to have a newer one, if it failed.
	Failure error
}

// State is that of the certificate which Get would serve now.
func (s *Certificates) State(ctx context.Context) State {
	leaf := s.Current(ctx).Leaf
	state := State{NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
	if s.c.CA != nil && s.c.CA.cert.NotBefore.After(state.NotBefore) { // clients judge the whole chain
		state.NotBefore = s.c.CA.cert.NotBefore
	}
	if err := s.failure.Load(); err != nil {
		state.Failure = *err
	}
	return state
}

// Valid says why clients with a right clock refuse the certificate, if they do.
func (s State) Valid(now time.Time) error {
	return within(s.NotBefore, s.NotAfter, now)
}

func within(notBefore, notAfter, now time.Time) error {
	const form = time.RFC3339
	switch {
	case now.Before(notBefore):
		return fmt.Errorf("it is not valid before %s, and the clock says %s", notBefore.UTC().Format(form), now.UTC().Format(form))
	case !now.Before(notAfter):
		return fmt.Errorf("it ended on %s, and the clock says %s", notAfter.UTC().Format(form), now.UTC().Format(form))
	}
	return nil
}

// suits says why clients would refuse the operator's certificate, as far as can be
// known here. Whether they trust its root cannot.
func (s *Certificates) suits(cert *tls.Certificate, now time.Time) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("the certificate %s cannot be used: %w", s.c.CertFile, fmt.Errorf(format, args...))
	}
	if err := within(cert.Leaf.NotBefore, cert.Leaf.NotAfter, now); err != nil {
		return fault("%w", err)
	}
	var missing []string
	for _, name := range s.c.Names {
		if cert.Leaf.VerifyHostname(strings.Replace(name, "*", "any", 1)) != nil {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return fault("it is not for %s", strings.Join(missing, ", "))
	}
	use := cert.Leaf.ExtKeyUsage
	if len(use) > 0 && !slices.Contains(use, x509.ExtKeyUsageServerAuth) && !slices.Contains(use, x509.ExtKeyUsageAny) {
		return fault("its extended key usage does not allow servers")
	}
	below := cert.Leaf
	for _, der := range cert.Certificate[1:] {
		issuer, err := x509.ParseCertificate(der)
		if err != nil {
			return fault("its chain: %w", err)
		}
		if err := below.CheckSignatureFrom(issuer); err != nil {
			return fault("its chain is not complete, or not in order: after %q comes %q, which did not sign it", below.Subject, issuer.Subject)
		}
		if err := within(issuer.NotBefore, issuer.NotAfter, now); err != nil {
			return fault("%q in its chain: %w", issuer.Subject, err)
		}
		below = issuer
	}
	if len(cert.Certificate) == 1 && len(cert.Leaf.IssuingCertificateURL) > 0 && s.unknown(cert.Leaf) {
		return fault("its chain is not complete: the certificate of %q, which signed it, must follow it in the file", cert.Leaf.Issuer)
	}
	return nil
}

// unknown says whether no root of the system signed the certificate itself.
func (s *Certificates) unknown(leaf *x509.Certificate) bool {
	_, err := leaf.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: s.c.Now()})
	return err != nil
}
