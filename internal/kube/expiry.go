package kube

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// checkExpiry says in words what an API server would only call Unauthorized.
func checkExpiry(c *rest.Config, now time.Time) error {
	chain := c.CertData
	if len(chain) == 0 && c.CertFile != "" {
		chain, _ = os.ReadFile(c.CertFile) // client-go says why it cannot
	}
	if end := certificateEnd(chain); !end.IsZero() && now.After(end) {
		return fmt.Errorf("the kubeconfig's client certificate expired on %s", end.UTC().Format(time.RFC3339))
	}
	if end := tokenEnd(c.BearerToken); !end.IsZero() && now.After(end) && c.BearerTokenFile == "" {
		return fmt.Errorf("the kubeconfig's token expired on %s", end.UTC().Format(time.RFC3339))
	}
	return nil
}

// certificateEnd is when the first certificate of PEM ends; zero when there is none.
func certificateEnd(chain []byte) time.Time {
	block, _ := pem.Decode(chain)
	if block == nil {
		return time.Time{}
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}
	}
	return cert.NotAfter
}

// lastExpiry is the last second that RFC 3339, and so JSON, can write: the end of 9999.
const lastExpiry = 253402300799

// tokenEnd reads a JWT's exp without checking anything. Not every token is one, and an
// exp may be no time that can be written: then it is zero.
func tokenEnd(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(body, &claims) != nil || claims.Exp <= 0 || claims.Exp > lastExpiry {
		return time.Time{}
	}
	return time.Unix(int64(claims.Exp), 0).UTC()
}
