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
	"github.com/lanyard-io/lanyard/internal/trust"
)

// certificateProof is an assertion that the client issued itself, and signed with the
// key of a registered certificate.
var certificateProof = proof{
	name:      "certificate",
	parameter: parameterAssertion,
	methods:   []string{"private_key_jwt"},
	acr:       "2",
	reason:    "The certificate proves the client.",
	codes: map[trust.Reason]*code{
		trust.Issuer:     codeAssertionClient,
		trust.Audience:   codeAssertionAudience,
		trust.UnknownKey: codeSignature,
	},
	takes: func(q *request) (bool, error) {
		err := q.readAssertion()
		return err == nil && strings.EqualFold(q.assertion.Issuer, q.clientID), err
	},
	find: (*Server).byCertificate,
}

// byCertificate finds the registered certificate that an assertion names. It does not look
// at a chain that is sent along (x5c).
// https://learn.microsoft.com/entra/identity-platform/certificate-credentials
func (s *Server) byCertificate(q *request) error {
	if !strings.EqualFold(q.assertion.Subject, q.clientID) {
		q.record.Differed = []string{"subject"}
		return refuse(codeAssertionClient, "Client assertion application identifier doesn't match 'client_id' parameter. The assertion's issuer and subject must both be %s; its subject is %s.", quote(q.clientID), quote(q.assertion.Subject))
	}
	var registered []model.Certificate
	if q.client.app != nil {
		registered = q.client.app.Certificates
	}
	named := s.namedCertificates(q, registered)
	if len(named) == 0 {
		q.record.Differed = []string{"key"}
		q.record.Hint = "Register the certificate with the application, or sign with the one that is registered: a chain sent along (x5c) makes no certificate trusted."
		return refuse(codeSignature, "The certificate with identifier %s used to sign the client assertion is not registered on application. The application has %d certificates.", quote(thumbprintOf(q)), len(registered))
	}
	q.grounds = grounds{q.client.object}
	q.verify = func(context.Context) error { return s.verifyCertificate(q, named) }
	return nil
}

// namedCertificates are the registered ones with the thumbprint in the header;
// all of them when it has none.
func (s *Server) namedCertificates(q *request, registered []model.Certificate) []model.Certificate {
	sha1Print, ok1 := thumbprint(q.assertion.X5T)
	sha256Print, ok2 := thumbprint(q.assertion.X5TS256)
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
// for Go writes plain base64. An empty one gives nil.
func thumbprint(s string) (b []byte, ok bool) {
	if s == "" {
		return nil, true
	}
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawURLEncoding.DecodeString(s)
	return b, err == nil && len(b) > 0
}

func thumbprintOf(q *request) string {
	for _, s := range []string{q.assertion.X5TS256, q.assertion.X5T} {
		if s != "" {
			return s
		}
	}
	return q.assertion.KeyID
}

func (s *Server) verifyCertificate(q *request, named []model.Certificate) error {
	audience := ""
	for _, aud := range q.assertion.Audiences {
		if s.isTokenService(aud) {
			audience = aud
			break
		}
	}
	if audience == "" {
		q.record.Differed = []string{"audience"}
		q.record.Hint = "Make the assertion's aud the token endpoint that it is sent to."
		return refuse(codeAssertionAudience, "Client assertion audience claim does not match Realm issuer. The assertion's audience is %s, expected %s.",
			quote(strings.Join(q.assertion.Audiences, ", ")), quote(q.family.LoginURL()+"/"+s.tenantID+"/oauth2/v2.0/token"))
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
			q.record.Differed = []string{"time"}
			q.record.Hint = "Register a certificate that is valid now."
			last = refuse(codeSignature, "Client assertion failed signature validation. The certificate is valid from %s to %s only.", stamp(from), stamp(until))
			continue
		}
		if err = s.trust.VerifyKey(q.assertion, cert.PublicKey, q.assertion.Issuer, []string{audience}); err == nil {
			q.record.Differed, q.record.Hint = nil, ""
			return nil
		}
		last = q.refuseAssertion(err)
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

// isTokenService says whether an assertion's audience is this token service: a token
// endpoint or an issuer, in any name family and with any name of the tenant.
func (s *Server) isTokenService(aud string) bool {
	u, err := url.Parse(aud)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	surface, family, _ := s.names.Route(u.Host)
	if surface != names.Login || u.Port() != "" && u.Port() != strconv.Itoa(family.Port) {
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
