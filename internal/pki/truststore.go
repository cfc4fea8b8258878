package pki

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// Truststore is the certificates of bundle (PEM) as a PKCS #12 file without a
// password: what Java takes as javax.net.ssl.trustStore. Certificates are no
// secret, and a password that everybody knows would protect nothing.
// https://www.rfc-editor.org/rfc/rfc7292#section-4
func Truststore(bundle []byte) ([]byte, error) {
	var bags []safeBag
	seen := map[string]bool{}
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		alias := alias(block.Bytes)
		if block.Type == "CERTIFICATE" && !seen[alias] {
			seen[alias] = true
			bags = append(bags, trusted(block.Bytes, alias))
		}
	}
	if len(bags) == 0 {
		return nil, errors.New("no certificate in the PEM")
	}
	safe, err := asn1.Marshal(bags)
	if err != nil {
		return nil, fmt.Errorf("encoding the certificates: %w", err)
	}
	safes, err := asn1.Marshal([]contentInfo{{oidData, safe}})
	if err != nil {
		return nil, fmt.Errorf("encoding the truststore: %w", err)
	}
	return asn1.Marshal(pfx{Version: 3, AuthSafe: contentInfo{oidData, safes}})
}

// The parts of PKCS #12 that a truststore has: no keys, no encryption, no MAC.
type (
	pfx struct {
		Version  int
		AuthSafe contentInfo
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	safeBag struct {
		ID         asn1.ObjectIdentifier
		Value      certBag     `asn1:"explicit,tag:0"`
		Attributes []attribute `asn1:"set"`
	}
	certBag struct {
		ID    asn1.ObjectIdentifier
		Value []byte `asn1:"explicit,tag:0"`
	}
	attribute struct {
		ID     asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
)

var (
	oidData         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidCertBag      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidX509         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
	oidFriendlyName = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
	// Java trusts only certificates with this attribute, for the usages in it.
	oidTrustedUsage = asn1.ObjectIdentifier{2, 16, 840, 1, 113894, 746875, 1, 1}
)

// anyUsage is the DER of anyExtendedKeyUsage, 2.5.29.37.0.
var anyUsage = asn1.RawValue{FullBytes: []byte{0x06, 0x04, 0x55, 0x1d, 0x25, 0x00}}

func trusted(der []byte, alias string) safeBag {
	return safeBag{oidCertBag, certBag{oidX509, der}, []attribute{
		{oidFriendlyName, []asn1.RawValue{bmpString(alias)}},
		{oidTrustedUsage, []asn1.RawValue{anyUsage}},
	}}
}

// alias names a certificate by its fingerprint: Java keeps one of each name.
func alias(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func bmpString(ascii string) asn1.RawValue {
	b := make([]byte, 0, 2*len(ascii))
	for i := range len(ascii) {
		b = append(b, 0, ascii[i])
	}
	return asn1.RawValue{Tag: asn1.TagBMPString, Bytes: b}
}
