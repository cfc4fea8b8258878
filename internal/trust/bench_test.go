package trust_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

func BenchmarkParse(b *testing.B) {
	token := trusttest.New(b).KubernetesToken("demo", "workload-identity-sa", audience, time.Hour)
	b.SetBytes(int64(len(token)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := trust.Parse(token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyRS256Cached is a token exchange's share of this package; its
// bound is bare, the signature check alone.
func BenchmarkVerifyRS256Cached(b *testing.B) {
	issuer := trusttest.New(b)
	token := issuer.KubernetesToken("demo", "workload-identity-sa", audience, time.Hour)
	run := func(src trust.Source) func(b *testing.B) {
		return func(b *testing.B) {
			v := trust.New(trust.Config{})
			warm, err := trust.Parse(token)
			if err != nil {
				b.Fatal(err)
			}
			if err := v.Verify(b.Context(), warm, src, audience); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				a, err := trust.Parse(token)
				if err != nil {
					b.Fatal(err)
				}
				if err := v.Verify(b.Context(), a, src, audience); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("discovered", run(trust.Source{Issuer: issuer.URL, Roots: issuer.CA}))
	b.Run("pinned", run(trust.Source{Issuer: issuer.URL, Keys: issuer.JWKS()}))
	b.Run("bare", func(b *testing.B) {
		dot := strings.LastIndexByte(token, '.')
		signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
		if err != nil {
			b.Fatal(err)
		}
		public := issuer.PublicKey("").(*rsa.PublicKey)
		b.ReportAllocs()
		for b.Loop() {
			sum := sha256.Sum256([]byte(token[:dot]))
			if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature); err != nil {
				b.Fatal(err)
			}
		}
	})
}
