package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/lanyard-io/lanyard/internal/pki"
)

// listen serves with the same kind of certificate and TLS settings as the product.
func (b *bare) listen(handler http.Handler) error {
	const host = "bare.lanyard.localhost"
	ca, err := pki.NewCA([]string{host}, time.Now())
	if err != nil {
		return err
	}
	leaf, err := ca.Leaf([]string{host}, time.Now(), time.Hour)
	if err != nil {
		return err
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{*leaf}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	})
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	b.url, b.http = "https://"+host, httpClient(roots, ln.Addr().String())
	b.srv = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go b.srv.Serve(ln)
	return nil
}
