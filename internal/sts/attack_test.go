package sts_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A client that separates its parameters by something else puts its secret into
// another parameter. That is refused, and shown nowhere.
func TestMisplacedSecretIsNotShown(t *testing.T) {
	w := newWorld(t, nil)
	const secret = "V3ry-Secr3t"
	app := w.app(secret, time.Now().Add(time.Hour))
	all := []string{"grant_type=client_credentials", "client_id=" + app.AppID, "scope=" + vault + "/.default", "client_secret=" + secret}
	for name, separator := range map[string]string{"semicolon": ";", "line": "\n", "tab": "%09", "null": "%00", "space": "+", "encoded": "%26", "encoded-semicolon": "%3b"} {
		for n := 1; n < len(all); n++ {
			t.Run(name, func(t *testing.T) {
				body := strings.Join(all[:n], "&") + separator + strings.Join(all[n:], separator)
				p := w.post(tokenURL, body)
				records, err := w.gate.Find(t.Context(), p.TraceID)
				check(t, err)
				text, err := json.Marshal(records)
				check(t, err)
				if p.status != 400 && p.status != 401 || len(records) != 1 || strings.Contains(p.raw+string(text), secret) {
					t.Errorf("%q: %d %s\n%s", body, p.status, p.raw, text)
				}
			})
		}
	}
}

func TestTwoAuthorizationHeaders(t *testing.T) {
	w := newWorld(t, nil)
	app := w.app("secret", time.Now().Add(time.Hour))
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(app.AppID+":secret"))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tokenURL, strings.NewReader(form()))
	check(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header["Authorization"] = []string{basic, basic}
	w.refused(w.do(r), 400, "invalid_request", 9002313)
}
