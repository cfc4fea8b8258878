package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	caLifetime      = 10 * 365 * 24 * time.Hour
	maxLeafLifetime = 90 * 24 * time.Hour
	// skew is how far a client's clock may be behind ours.
	skew = time.Hour
	// backdated is how far an authority reaches back, so that one which was made while
	// the clock was ahead is good after the clock was set right.
	backdated = 365 * 24 * time.Hour
)

// CA is a certificate authority. One of NewCA can sign only for the server's own
// names: whoever trusts it trusts it for nothing else.
type CA struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	pkcs8 []byte
}

// NewCA makes an authority for the given DNS zones: each permits itself and
// every name below it. Loopback addresses are permitted too.
// https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.10
func NewCA(zones []string, now time.Time) (*CA, error) {
	if len(zones) == 0 {
		return nil, errors.New("making an authority: no DNS zones")
	}
	for _, z := range zones {
		if !validZone(z) {
			return nil, fmt.Errorf("making an authority: %q is not a DNS zone", z)
		}
	}
	return newCA(&x509.Certificate{
		Subject:                     pkix.Name{CommonName: "Lanyard local CA"},
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         slices.Clone(zones),
		PermittedIPRanges:           loopback(),
	}, now)
}

// NewPrivateCA makes an authority that may sign for any name. It is for clients
// that trust it for one connection only, such as an API server for its webhook.
func NewPrivateCA(now time.Time) (*CA, error) {
	return newCA(&x509.Certificate{Subject: pkix.Name{CommonName: "Lanyard webhook CA"}}, now)
}

func newCA(template *x509.Certificate, now time.Time) (*CA, error) {
	key, pkcs8, keyID, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("making an authority: %w", err)
	}
	template.NotBefore, template.NotAfter = now.Add(-backdated), now.Add(caLifetime)
	template.BasicConstraintsValid, template.IsCA, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.SubjectKeyId, template.AuthorityKeyId = keyID, keyID
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making an authority: %w", err)
	}
	return ParseCA(der, pkcs8)
}

// ParseCA reads an authority back from its certificate and private key. The
// error never quotes the key.
func ParseCA(der, pkcs8 []byte) (*CA, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, errors.New("reading the authority's key: not PKCS #8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	switch {
	case !ok:
		return nil, errors.New("reading the authority's key: not an EC key")
	case !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, errors.New("reading the authority's certificate: not an authority's")
	case !key.PublicKey.Equal(cert.PublicKey):
		return nil, errors.New("reading the authority: its key is not its certificate's")
	}
	return &CA{cert: cert, key: key, pkcs8: slices.Clone(pkcs8)}, nil
}

// DER is the certificate.
func (a *CA) DER() []byte { return slices.Clone(a.cert.Raw) }

// PEM is the certificate.
func (a *CA) PEM() []byte { return encodePEM(a.cert.Raw) }

// PKCS8 is the private key. Seal it before it is stored.
func (a *CA) PKCS8() []byte { return slices.Clone(a.pkcs8) }

// NotAfter is when the authority ends.
func (a *CA) NotAfter() time.Time { return a.cert.NotAfter }

// MadeAt is when an authority was made. Others than ours, and those of older programs,
// begin an hour before at most.
func MadeAt(ca *x509.Certificate) time.Time {
	if ca.NotAfter.Sub(ca.NotBefore) == caLifetime+backdated {
		return ca.NotBefore.Add(backdated)
	}
	return ca.NotBefore.Add(skew)
}

// NotBefore is when the authority begins.
func (a *CA) NotBefore() time.Time { return a.cert.NotBefore }

// Covers says whether the authority may sign for all of the names: DNS names,
// wildcards or IP addresses.
func (a *CA) Covers(names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !a.covers(n) })
}

func (a *CA) covers(name string) bool {
	if len(a.cert.PermittedDNSDomains)+len(a.cert.PermittedIPRanges) == 0 {
		return true // see NewPrivateCA
	}
	if ip := net.ParseIP(name); ip != nil {
		return slices.ContainsFunc(a.cert.PermittedIPRanges, func(r *net.IPNet) bool { return r.Contains(ip) })
	}
	name = strings.TrimPrefix(strings.ToLower(name), "*.")
	return slices.ContainsFunc(a.cert.PermittedDNSDomains, func(zone string) bool {
		return name == zone || strings.HasSuffix(name, "."+zone)
	})
}

// Leaf makes a server certificate for the names, valid for at most 90 days and
// not longer than the authority itself.
func (a *CA) Leaf(names []string, now time.Time, lifetime time.Duration) (*tls.Certificate, error) {
	switch {
	case len(names) == 0:
		return nil, errors.New("making a certificate: no names")
	case lifetime <= 0 || lifetime > maxLeafLifetime:
		return nil, fmt.Errorf("making a certificate: lifetime %v is not within %v", lifetime, maxLeafLifetime)
	case !now.Before(a.cert.NotAfter):
		return nil, fmt.Errorf("making a certificate: the authority ended on %s", a.cert.NotAfter.Format(time.DateOnly))
	}
	key, _, keyID, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Lanyard server"},
		NotBefore:             now.Add(-skew),
		NotAfter:              earlier(now.Add(lifetime), a.cert.NotAfter),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		SubjectKeyId:          keyID,
	}
	for _, n := range names {
		if !a.covers(n) {
			return nil, fmt.Errorf("making a certificate: the authority may not sign for %q", n)
		}
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: crypto.Signer(key), Leaf: leaf}, nil
}

func newKey() (key *ecdsa.PrivateKey, pkcs8, keyID []byte, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	pkcs8, err = x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, nil, err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, nil, nil, err
	}
	sum := sha256.Sum256(point) // https://www.rfc-editor.org/rfc/rfc7093#section-2, method 1
	return key, pkcs8, sum[:20], nil
}

func loopback() []*net.IPNet {
	return []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
}

func validZone(z string) bool {
	if z == "" || len(z) > 253 || net.ParseIP(z) != nil {
		return false
	}
	for label := range strings.SplitSeq(z, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func encodePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
