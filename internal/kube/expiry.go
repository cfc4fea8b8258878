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
	if block, _ := pem.Decode(chain); block != nil {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && now.After(cert.NotAfter) {
			return fmt.Errorf("the kubeconfig's client certificate expired on %s", cert.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	if exp, ok := tokenExpiry(c.BearerToken); ok && now.After(exp) && c.BearerTokenFile == "" {
		return fmt.Errorf("the kubeconfig's token expired on %s", exp.UTC().Format(time.RFC3339))
	}
	return nil
}

// tokenExpiry reads a JWT's exp without checking anything. Not every token is one.
func tokenExpiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(body, &claims) != nil || claims.Exp <= 0 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Exp), 0), true
}
