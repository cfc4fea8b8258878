package graph

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the thumbprint is a SHA-1 by definition; it proves nothing
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

// Limits of an application's certificates.
const (
	maxCertificates = 10
	maxDER          = 16 << 10
	minKeyBits      = 2048
)

const (
	certificateType  = "AsymmetricX509Cert"
	certificateUsage = "Verify"
)

// keyCredential is a certificate in answers, which never hold the certificate itself.
// https://learn.microsoft.com/graph/api/resources/keycredential
type keyCredential struct {
	CustomKeyID string    `json:"customKeyIdentifier"` // the thumbprint
	DisplayName *string   `json:"displayName"`
	End         time.Time `json:"endDateTime"`
	Key         *string   `json:"key"`
	KeyID       string    `json:"keyId"`
	Start       time.Time `json:"startDateTime"`
	Type        string    `json:"type"`
	Usage       string    `json:"usage"`
}

func showKeys(certificates []model.Certificate) []keyCredential {
	out := make([]keyCredential, 0, len(certificates))
	for i := range certificates {
		c := &certificates[i]
		out = append(out, keyCredential{
			CustomKeyID: fmt.Sprintf("%X", sha1.Sum(c.DER)), //nolint:gosec // see the import
			DisplayName: orNull(c.Name), End: c.Expires.UTC(), KeyID: c.KeyID, Start: c.Start.UTC(),
			Type: certificateType, Usage: certificateUsage,
		})
	}
	return out
}

// keyInput is a certificate in a body. One without a key stands for the
// certificate with that keyId, which stays as it is.
type keyInput struct {
	DisplayName *string    `json:"displayName"`
	Start       *time.Time `json:"startDateTime"`
	End         *time.Time `json:"endDateTime"`
	Key         *string    `json:"key"`
	KeyID       *string    `json:"keyId"`
	Type        string     `json:"type"`
	Usage       string     `json:"usage"`
}

// readKeys makes the new list of certificates from a body and the old list.
func readKeys(in []keyInput, old []model.Certificate, now time.Time) ([]model.Certificate, error) {
	if len(in) > maxCertificates {
		return nil, fail(quota, "An application may have at most %d certificates.", maxCertificates)
	}
	var out []model.Certificate
	for i := range in {
		c, err := in[i].read(old, now)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o model.Certificate) bool {
			return strings.EqualFold(o.KeyID, c.KeyID) || bytes.Equal(o.DER, c.DER)
		}) {
			return nil, fail(badRequest, "The property 'keyCredentials' has the same certificate, or the same keyId, twice.")
		}
		out = append(out, c)
	}
	return out, nil
}

func (in *keyInput) read(old []model.Certificate, now time.Time) (model.Certificate, error) {
	none := model.Certificate{}
	if in.Key == nil {
		for _, c := range old {
			if in.KeyID != nil && strings.EqualFold(c.KeyID, *in.KeyID) {
				return c, nil
			}
		}
		return none, fail(badRequest, "A key credential without a key must have the keyId of one that the application has.")
	}
	switch {
	case in.Type != certificateType || in.Usage != certificateUsage:
		return none, fail(badRequest, "A key credential must have the type %s and the usage %s.", certificateType, certificateUsage)
	case in.DisplayName != nil && *in.DisplayName != "" && !validName(*in.DisplayName):
		return none, fail(badRequest, "Invalid value specified for property 'displayName' of the key credential.")
	case in.KeyID != nil && !model.ValidUUID(*in.KeyID):
		return none, fail(badRequest, "The keyId of a key credential must be a GUID.")
	}
	cert, err := parseCertificate(*in.Key)
	if err != nil {
		return none, fail(badRequest, "Key credential is invalid: %s.", err)
	}
	c := model.Certificate{KeyID: model.NewUUID(), DER: cert.Raw, Start: cert.NotBefore.UTC(), Expires: cert.NotAfter.UTC()}
	if in.KeyID != nil {
		c.KeyID = strings.ToLower(*in.KeyID)
	}
	if in.DisplayName != nil {
		c.Name = *in.DisplayName
	}
	if in.Start != nil && in.Start.After(c.Start) {
		c.Start = in.Start.UTC()
	}
	if in.End != nil && in.End.Before(c.Expires) {
		c.Expires = in.End.UTC()
	}
	if !c.Expires.After(c.Start) || !c.Expires.After(now) {
		return none, fail(badRequest, "Key credential end date is invalid: it must be later than the start date and than now.")
	}
	return c, nil
}

// parseCertificate reads the member "key": base64 of a certificate's DER or of its
// PEM. The errors name no part of it: somebody may send a private key.
func parseCertificate(text string) (*x509.Certificate, error) {
	if len(text) > 2*maxDER {
		return nil, fmt.Errorf("it is longer than %d bytes", 2*maxDER)
	}
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, text)
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("it is not base64")
	}
	if block, _ := pem.Decode(der); block != nil {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds no certificate")
		}
		der = block.Bytes
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("it is not an X.509 certificate")
	}
	if key, ok := cert.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() < minKeyBits {
		return nil, fmt.Errorf("its key must be RSA with at least %d bits", minKeyBits)
	}
	return cert, nil
}
