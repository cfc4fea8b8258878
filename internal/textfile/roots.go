package textfile

import (
	"crypto/x509"
	"fmt"
)

// Roots reads the certificates of CAs, PEM. A file without one is an error.
func Roots(path string) (*x509.CertPool, error) {
	pem, err := Read(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no PEM certificate in it", path)
	}
	return roots, nil
}
