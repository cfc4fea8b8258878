package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/lanyard-io/lanyard/internal/pki"
)

// bare is an HTTPS server that does the crypto of an exchange and nothing else.
// Its answers are Lanyard's own, headers included: the same bytes travel, and
// only what is done for them differs.
type bare struct {
	srv     *http.Server
	http    *http.Client
	url     string
	answers map[string]answer // by path; not changed once it is asked for them
}

type answer struct {
	header http.Header
	body   []byte
}

// copyAnswer makes path answer as r is answered through c.
func (b *bare) copyAnswer(ctx context.Context, path string, c *http.Client, r request) error {
	res, err := r.do(ctx, c)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", res.StatusCode, body)
	}
	b.answers[path] = answer{res.Header, body}
	return err
}

// ask sends r, whose URL is a path.
func (b *bare) ask(ctx context.Context, r request) error {
	want := b.answers[r.url]
	r.url = b.url + r.url
	got, err := r.send(ctx, b.http)
	if err == nil && len(got) != len(want.body) {
		err = fmt.Errorf("got %d bytes, want %d", len(got), len(want.body))
	}
	return err
}

func startBare() (*bare, error) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte("assertion"))
	signature, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, digest[:])
	if err != nil {
		return nil, err
	}
	verify := func() error { return rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, digest[:], signature) }
	signEC := func() error { _, err := ecdsa.SignASN1(rand.Reader, ecKey, digest[:]); return err }
	signRSA := func() error { _, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, digest[:]); return err }

	b := &bare{answers: map[string]answer{}}
	handler := func(work ...func() error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			for _, step := range work {
				if err == nil {
					err = step()
				}
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			a := b.answers[r.URL.Path]
			maps.Copy(w.Header(), a.header)
			w.Write(a.body)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /es", handler(verify, signEC))
	mux.HandleFunc("POST /rs", handler(verify, signRSA))
	mux.HandleFunc("POST /sign", handler(signEC))
	mux.HandleFunc("GET /", handler())
	return b, b.listen(mux)
}

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
