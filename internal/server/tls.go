package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/store"
)

// openTLS gets the listener's certificate: the operator's files, or a leaf of
// our own CA, which is then written where clients can be pointed at it.
func (s *Server) openTLS(ctx context.Context) error {
	c := pki.Config{CertFile: s.c.TLSCert, KeyFile: s.c.TLSKey, Names: s.names.Needed(), Log: s.c.Log, Now: s.c.Now}
	if s.c.TLSCert == "" {
		s.ownCA = true
		ca, previous, err := s.authority(ctx)
		if err != nil {
			return err
		}
		s.podCA = pki.Bundle(ca, previous)
		if err := s.writeBundles(s.podCA); err != nil {
			return fmt.Errorf("writing the CA's certificate: %w", err)
		}
		c.CA, c.Names = ca, s.names.Certificate()
	}
	var err error
	if s.certificates, err = pki.NewCertificates(c); err != nil {
		return err
	}
	s.tls = s.certificates.TLS()
	return nil
}

// authority loads our CA, or makes it. A CA may sign for the names it was made
// for and no others; when the names have grown, a new one takes over and the old
// one stays in the bundle.
func (s *Server) authority(ctx context.Context) (*pki.CA, [][]byte, error) {
	fits := func(ca *pki.CA) bool {
		now := s.c.Now()
		if ca.Covers(s.names.Certificate()) && now.Before(ca.NotAfter()) && !now.Before(ca.NotBefore()) {
			return true
		}
		s.c.Log.WarnContext(ctx, "made a new CA, because the old one may not sign for the new names or is not valid now; clients must read the CA's file again")
		return false
	}
	return s.storedCA(ctx, model.CA{}, maxPrevious, fits, func() (*pki.CA, error) { return pki.NewCA(s.names.Domains(), s.c.Now()) })
}

// storedCA loads a CA from the store. One that is not there, or does not fit, is made;
// so many of those before it stay in the bundle.
func (s *Server) storedCA(ctx context.Context, which model.CA, keep int, fits func(*pki.CA) bool, create func() (*pki.CA, error)) (*pki.CA, [][]byte, error) {
	st, key := s.backend.Store, which.Key()
	for {
		v, err := st.Fresh(ctx)
		if err != nil {
			return nil, nil, err
		}
		stored, rev, ok := store.Get[*model.CA](v, key)
		var previous [][]byte
		if ok {
			ca, err := s.openCA(stored)
			if err != nil {
				return nil, nil, err
			}
			if fits(ca) {
				return ca, stored.Previous, nil
			}
			previous = append([][]byte{stored.Certificate}, stored.Previous...)
			previous = previous[:min(len(previous), keep)]
		}
		ca, err := create()
		if err != nil {
			return nil, nil, err
		}
		next := which
		next.Certificate, next.Previous = ca.DER(), previous
		if next.SealedKey, err = s.backend.Sealer.Seal(ca.PKCS8(), key); err != nil {
			return nil, nil, err
		}
		_, err = st.Put(ctx, &next, rev)
		if !errors.Is(err, store.ErrConflict) { // else another replica was first
			return ca, previous, err
		}
	}
}

func (s *Server) openCA(stored *model.CA) (*pki.CA, error) {
	key, err := s.backend.Sealer.Open(stored.SealedKey, stored.Key())
	if err != nil {
		return nil, fmt.Errorf("opening the CA's key: %w", err)
	}
	return pki.ParseCA(stored.Certificate, key)
}

// maxPrevious is how many earlier CAs stay in the bundle.
const maxPrevious = 3

// writeBundles writes our CA alone, and the system's CAs with it: some clients
// add a file to what they trust, others replace it. Java reads no PEM.
func (s *Server) writeBundles(own []byte) error {
	if err := writeIfChanged(s.c.path(caFileName), own); err != nil {
		return err
	}
	combined, err := pki.CombinedBundle(own, "")
	if err != nil {
		return err
	}
	if err := writeIfChanged(s.c.path(bundleName), combined); err != nil {
		return err
	}
	truststore, err := pki.Truststore(combined)
	if err != nil {
		return err
	}
	return writeIfChanged(s.c.path(truststoreName), truststore)
}

func writeIfChanged(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	return writeFile(path, content, 0o644)
}
