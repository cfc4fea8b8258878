package pki

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// systemBundles are where systems keep their roots in one file.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine, Arch
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7 and later
	"/etc/ssl/cert.pem",                                 // macOS, BSDs
}

// Bundle is what clients must trust, as PEM: the authority, and the earlier ones
// (DER) whose certificates may still be served.
func Bundle(ca *CA, previous [][]byte) []byte {
	b := ca.PEM()
	for _, der := range previous {
		b = append(b, encodePEM(der)...)
	}
	return b
}

// CombinedBundle is the roots of the system, or those of file when it is set,
// and then own. REQUESTS_CA_BUNDLE and SSL_CERT_FILE replace a client's roots,
// so a bundle of ours alone would cut it off from the rest of the world; file
// is the SSL_CERT_FILE that was set before. A system without roots adds none.
func CombinedBundle(own []byte, file string) ([]byte, error) {
	roots, err := systemRoots(file)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	seen := map[string]bool{}
	for _, part := range [][]byte{roots, own} {
		for block, rest := pem.Decode(part); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" || seen[string(block.Bytes)] {
				continue
			}
			seen[string(block.Bytes)] = true
			out.Write(encodePEM(block.Bytes))
		}
	}
	return out.Bytes(), nil
}

func systemRoots(file string) ([]byte, error) {
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the roots trusted so far: %w", err)
		}
		return b, nil
	}
	for _, path := range systemBundles {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the system's roots: %w", err)
		}
		return b, nil
	}
	return nil, nil
}
