package sts

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // x5t is a SHA-1 by definition; it finds a key and proves nothing
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
)

// byCertificate finds the registered certificate that an assertion names. A chain
// that is sent along (x5c) is not looked at: what is registered decides.
// https://learn.microsoft.com/entra/identity-platform/certificate-credentials
func (s *Server) byCertificate(a *attempt) error {
	if !strings.EqualFold(a.assertion.Subject, a.clientID) {
		a.record.Differed = []string{"subject"}
		return refuse(codeAssertionClient, "Client assertion application identifier doesn't match 'client_id' parameter. The assertion's issuer and subject must both be %s; its subject is %s.", quote(a.clientID), quote(a.assertion.Subject))
	}
	var registered []model.Certificate
	if a.client.app != nil {
		registered = a.client.app.Certificates
	}
	named := s.namedCertificates(a, registered)
	if len(named) == 0 {
		a.record.Differed = []string{"key"}
		a.record.Hint = "Register the certificate with the application, or sign with the one that is registered: a chain sent along (x5c) makes no certificate trusted."
		return refuse(codeSignature, "The certificate with identifier %s used to sign the client assertion is not registered on application. The application has %d certificates.", quote(thumbprintOf(a)), len(registered))
	}
	a.grounds = grounds{a.client.object}
	a.verify = func(context.Context) error { return s.verifyCertificate(a, named) }
	return nil
}

// namedCertificates are the registered ones with the thumbprint in the header;
// all of them when it has none.
func (s *Server) namedCertificates(a *attempt, registered []model.Certificate) []model.Certificate {
	sha1Print, ok1 := thumbprint(a.assertion.X5T)
	sha256Print, ok2 := thumbprint(a.assertion.X5TS256)
	if !ok1 || !ok2 {
		return nil
	}
	var named []model.Certificate
	for _, c := range registered {
		one, two := sha1.Sum(c.DER), sha256.Sum256(c.DER) //nolint:gosec // see the import
		if (sha1Print == nil || bytes.Equal(sha1Print, one[:])) && (sha256Print == nil || bytes.Equal(sha256Print, two[:])) {
			named = append(named, c)
		}
	}
	return named
}

// thumbprint reads x5t or x5t#S256, which is base64url. But az pads it, and MSAL
// for Go writes plain base64. Nothing gives nil.
func thumbprint(s string) (b []byte, ok bool) {
	if s == "" {
		return nil, true
	}
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawURLEncoding.DecodeString(s)
	return b, err == nil && len(b) > 0
}

func thumbprintOf(a *attempt) string {
	for _, s := range []string{a.assertion.X5TS256, a.assertion.X5T} {
		if s != "" {
			return s
		}
	}
	return a.assertion.KeyID
}

func (s *Server) verifyCertificate(a *attempt, named []model.Certificate) error {
	audience := ""
	for _, aud := range a.assertion.Audiences {
		if s.isOurs(aud) {
			audience = aud
			break
		}
	}
	if audience == "" {
		a.record.Differed = []string{"audience"}
		a.record.Hint = "Make the assertion's aud the token endpoint that it is sent to."
		return refuse(codeAssertionAudience, "Client assertion audience claim does not match Realm issuer. The assertion's audience is %s, expected %s.",
			quote(strings.Join(a.assertion.Audiences, ", ")), quote(a.set.LoginURL()+"/"+s.tenantID+"/oauth2/v2.0/token"))
	}
	var last error
	for _, c := range named {
		cert, err := x509.ParseCertificate(c.DER)
		if err != nil {
			return fmt.Errorf("parsing registered certificate %s: %w", c.KeyID, err)
		}
		now := s.now()
		from, until := validity(cert, &c)
		if now.Before(from) || now.After(until) {
			a.record.Differed = []string{"time"}
			a.record.Hint = "Register a certificate that is valid now."
			last = refuse(codeSignature, "Client assertion failed signature validation. The certificate is valid from %s to %s only.", stamp(from), stamp(until))
			continue
		}
		if err = s.trust.VerifyKey(a.assertion, cert.PublicKey, a.assertion.Issuer, []string{audience}); err == nil {
			a.record.Differed, a.record.Hint = nil, ""
			return nil
		}
		last = a.untrusted(err, certificateCodes)
	}
	return last
}

// validity is the certificate's own, as far as its registration does not narrow it.
func validity(cert *x509.Certificate, c *model.Certificate) (from, until time.Time) {
	from, until = cert.NotBefore, cert.NotAfter
	if c.Start.After(from) {
		from = c.Start
	}
	if !c.Expires.IsZero() && c.Expires.Before(until) {
		until = c.Expires
	}
	return from, until
}

// isOurs says whether an assertion's audience is this token service: a token
// endpoint or an issuer, in any name family and with any name of the tenant.
func (s *Server) isOurs(aud string) bool {
	u, err := url.Parse(aud)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	surface, set, _ := s.names.Route(u.Host)
	if surface != names.Login || u.Port() != "" && u.Port() != strconv.Itoa(set.Port) {
		return false
	}
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	form, err := s.tenant(tenant)
	if err != nil || form != tenantOwn && form != tenantADFS {
		return false
	}
	switch strings.TrimSuffix(rest, "/") {
	case "", "v2.0", "oauth2/token", "oauth2/v2.0/token":
		return true
	}
	return false
}
