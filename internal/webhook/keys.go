package webhook

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/lanyard-io/lanyard/internal/pki"
)

// The Secret's keys, as upstream names them.
const (
	caCert     = "ca.crt" // the authorities to trust; the one that signs is first
	caKey      = "ca.key"
	serverCert = "tls.crt"
	serverKey  = "tls.key"
)

const (
	leafLifetime = 90 * 24 * time.Hour
	// renewLeaf and renewCA are how long before the end there is a new one.
	renewLeaf = 30 * 24 * time.Hour
	renewCA   = 365 * 24 * time.Hour
	// overlap is how long a new authority is trusted before it signs what is
	// served: every API server knows it by then.
	overlap = 10 * time.Minute
	// maxAuthorities bounds the bundle.
	maxAuthorities = 4
)

// keys is a Secret's data.
type keys map[string][]byte

// plan decides what the Secret should hold now. Why is empty when that is what
// it holds. Published says whether API servers are told to trust an authority
// (DER). It never takes away what is being served before its successor is trusted.
func plan(old keys, names []string, published func(der []byte) bool, now time.Time) (next keys, why string, err error) {
	bundle := authorities(old[caCert], now)
	leaf := usableLeaf(old, names, bundle, now)
	ca := signer(bundle, old[caKey])
	next = keys{caCert: old[caCert], caKey: old[caKey], serverCert: old[serverCert], serverKey: old[serverKey]}

	if ca == nil || ca.NotAfter().Sub(now) < renewCA || !ca.Covers(names) {
		why = "made a new authority"
		if ca, err = pki.NewCA(names, now); err != nil {
			return nil, "", err
		}
		if leaf == nil {
			bundle = nil // nothing that is trusted is in use
		}
		bundle = append([]*x509.Certificate{parse(ca.DER())}, bundle...)
		if len(bundle) > maxAuthorities {
			bundle = append(bundle[:maxAuthorities-1], issuerOf(leaf, bundle[maxAuthorities-1:])...)
		}
		next[caCert] = encodeAll(bundle)
		next[caKey] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: ca.PKCS8()})
	}

	active := parse(ca.DER())
	trusted := now.After(pki.MadeAt(active).Add(overlap)) && published(active.Raw)
	due := leaf == nil
	if !due && trusted {
		due = leaf.CheckSignatureFrom(active) != nil || leaf.NotAfter.Sub(now) < renewLeaf
	}
	if !due {
		return next, why, nil
	}
	made, err := ca.Leaf(names, now, leafLifetime)
	if err != nil {
		return nil, "", err
	}
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		return nil, "", fmt.Errorf("writing the certificate's key: %w", err)
	}
	next[serverCert] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate[0]})
	next[serverKey] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	if why == "" {
		why = "made a new certificate"
	}
	return next, why, nil
}

// authorities are those of a bundle that are good now.
func authorities(bundle []byte, now time.Time) []*x509.Certificate {
	var all []*x509.Certificate
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil && cert.IsCA && now.After(cert.NotBefore) && now.Before(cert.NotAfter) {
			all = append(all, cert)
		}
	}
	return all
}

// signer is the authority of the bundle whose key we have; nil without one, or
// for a key of another kind: upstream's are RSA.
func signer(bundle []*x509.Certificate, key []byte) *pki.CA {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil
	}
	for _, cert := range bundle {
		if ca, err := pki.ParseCA(cert.Raw, block.Bytes); err == nil {
			return ca
		}
	}
	return nil
}

// usableLeaf is the certificate if it can be served now: for our names, signed
// by a trusted authority, with its key.
func usableLeaf(k keys, names []string, bundle []*x509.Certificate, now time.Time) *x509.Certificate {
	pair, err := loadLeaf(k)
	if err != nil {
		return nil
	}
	roots := x509.NewCertPool()
	for _, cert := range bundle {
		roots.AddCert(cert)
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: names[0], Roots: roots, CurrentTime: now})
	if err != nil {
		return nil
	}
	return pair.Leaf
}

// loadLeaf makes a certificate to serve of the Secret's data.
func loadLeaf(k keys) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(k[serverCert], k[serverKey])
	if err != nil {
		return nil, errors.New("the Secret holds no certificate with its key") // its words may tell of the key
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("reading the certificate: %w", err)
		}
	}
	return &pair, nil
}

// issuerOf are the authorities that signed the leaf.
func issuerOf(leaf *x509.Certificate, all []*x509.Certificate) []*x509.Certificate {
	for _, cert := range all {
		if leaf != nil && leaf.CheckSignatureFrom(cert) == nil {
			return []*x509.Certificate{cert}
		}
	}
	return nil
}

// parse reads what pki has just written.
func parse(der []byte) *x509.Certificate {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("reading our own certificate: %v", err))
	}
	return cert
}

func encodeAll(certs []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, cert := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return b.Bytes()
}

// contains says whether a PEM bundle holds a certificate (DER).
func contains(bundle, der []byte) bool {
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if bytes.Equal(block.Bytes, der) {
			return true
		}
	}
	return false
}
