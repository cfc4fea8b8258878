package sts_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.SHA384 and SHA512
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/sts"
)

func TestClientSecret(t *testing.T) {
	w := newWorld(t, nil)
	const secret = "s3cr3t+/=%&é"
	app := w.app(secret, time.Now().Add(time.Hour))
	id := w.identity("id")

	p := w.post(tokenURL, form("client_id", app.AppID, "client_secret", secret))
	if c := w.issued(p); c.AppIDACR != "1" || c.IdentityID != "" || c.AppID != app.AppID {
		t.Errorf("claims %+v", c)
	}
	if p.Expires != 3599.0 || p.Refresh != 0 {
		t.Errorf("answer %s", p.raw)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(app.AppID+":"+url.QueryEscape(secret)))
	w.issued(w.post(tokenURL, form(), "Authorization", basic))
	w.issued(w.post(tokenURL, form("client_id", app.AppID), "Authorization", basic))

	refused := func(body string, status int, oauth string, code int, header ...string) {
		t.Helper()
		p := w.post(tokenURL, body, header...)
		r := w.refused(p, status, oauth, code)
		text, _ := json.Marshal(r)
		if strings.Contains(p.raw+string(text), secret) {
			t.Errorf("the secret is shown: %s %s", p.raw, text)
		}
	}
	refused(form("client_id", app.AppID, "client_secret", secret+"x"), 401, "invalid_client", 7000215)
	refused(form("client_id", id.ClientID, "client_secret", secret), 401, "invalid_client", 7000215)
	refused(form("client_id", model.NewUUID(), "client_secret", secret), 400, "unauthorized_client", 700016)
	refused(form("client_id", app.AppID), 401, "invalid_client", 7000216)
	refused(form("client_id", id.ClientID), 400, "invalid_request", 9002313, "Authorization", basic)
	refused(form("client_id", app.AppID, "client_secret", secret), 400, "invalid_request", 9002313, "Authorization", basic)
	refused(form("client_id", app.AppID), 400, "invalid_request", 9002313, "Authorization", "Bearer x")
	wrong := "Basic " + base64.StdEncoding.EncodeToString([]byte(app.AppID+":wrong"))
	if p := w.post(tokenURL, form(), "Authorization", wrong); p.status != 401 || !strings.HasPrefix(p.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("got %d %v, want 401 with a challenge", p.status, p.header)
	}

	w.Ahead.Store(int64(2 * time.Hour))
	refused(form("client_id", app.AppID, "client_secret", secret), 401, "invalid_client", 7000222)
	w.Ahead.Store(0)
	disabled := *app
	disabled.Disabled = true
	w.put(&disabled)
	refused(form("client_id", app.AppID, "client_secret", secret), 400, "unauthorized_client", 7000112)
}

// certificate makes a self-signed client certificate.
func certificate(t *testing.T, from, to time.Time) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	return key, der
}

func signedBy(t *testing.T, key *rsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	enc := func(v any) string {
		b, err := json.Marshal(v)
		check(t, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	input := enc(header) + "." + enc(claims)
	alg := header["alg"].(string)
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	h := hash.New()
	h.Write([]byte(input))
	var opts crypto.SignerOpts = hash
	if alg[:2] == "PS" {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	sig, err := key.Sign(rand.Reader, h.Sum(nil), opts)
	check(t, err)
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// plain256 is a certificate's SHA-256 as MSAL for Go writes it: in base64, not base64url.
func plain256(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestClientCertificate(t *testing.T) {
	w := newWorld(t, func(n *names.Config, _ *sts.Config) {
		n.Azure, n.Aliases = true, []string{"login=sts.example.org"}
	})
	now := time.Now()
	key, der := certificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	for !strings.ContainsAny(plain256(der), "+/") { // until it shows whether base64 and base64url differ
		key, der = certificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	}
	oldKey, oldDER := certificate(t, now.Add(-2*time.Hour), now.Add(-time.Hour))
	app := w.app("secret", now.Add(time.Hour))
	app.Certificates = []model.Certificate{{KeyID: "old", DER: oldDER}, {KeyID: "new", DER: der}}
	w.put(app)
	sha1Print, sha256Print := sha1.Sum(der), sha256.Sum256(der)
	x5t := base64.URLEncoding.EncodeToString(sha1Print[:]) // padded, as az sends it
	x5t256 := base64.RawURLEncoding.EncodeToString(sha256Print[:])
	claims := func(pairs ...any) map[string]any {
		c := map[string]any{
			"aud": tokenURL, "iss": app.AppID, "sub": app.AppID, "jti": model.NewUUID(),
			"exp": float64(now.Add(10*time.Minute).UnixMilli()) / 1000, "iat": float64(now.UnixMilli()) / 1000, "nbf": now.Unix(),
		}
		for i := 0; i < len(pairs); i += 2 {
			if c[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
				delete(c, pairs[i].(string))
			}
		}
		return c
	}
	rs256 := map[string]any{"alg": "RS256", "typ": "JWT", "x5t": x5t}
	ps256 := map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": x5t256}

	chain := func(der ...[]byte) (x5c []string) {
		for _, d := range der {
			x5c = append(x5c, base64.StdEncoding.EncodeToString(d))
		}
		return x5c
	}
	strangerKey, strangerDER := certificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	accepted := map[string]string{
		"chain":           signedBy(t, key, map[string]any{"alg": "PS256", "x5t#S256": x5t256, "x5c": chain(der, oldDER)}, claims()),
		"chain-no-print":  signedBy(t, key, map[string]any{"alg": "RS256", "x5c": chain(der)}, claims()),
		"chain-of-others": signedBy(t, key, map[string]any{"alg": "RS256", "x5t": x5t, "x5c": chain(strangerDER)}, claims()),
		"chain-of-junk":   signedBy(t, key, map[string]any{"alg": "RS256", "x5t": x5t, "x5c": "junk", "jku": 7, "x5u": login}, claims()),
		"rs512":           signedBy(t, key, map[string]any{"alg": "RS512", "x5t": x5t}, claims()),
		"ps384":           signedBy(t, key, map[string]any{"alg": "PS384", "x5t": x5t}, claims()),
		"rs256":           signedBy(t, key, rs256, claims()),
		"ps256":           signedBy(t, key, ps256, claims()),
		"msal-go":         signedBy(t, key, map[string]any{"alg": "PS256", "x5t#S256": plain256(der)}, claims()),
		"no-print":        signedBy(t, key, map[string]any{"alg": "RS256"}, claims()),
		"upper-case":      signedBy(t, key, rs256, claims("iss", strings.ToUpper(app.AppID), "sub", strings.ToUpper(app.AppID))),
	}
	for _, aud := range []string{
		login + "/" + tenantID + "/v2.0", login + "/" + tenantID + "/", login + "/" + strings.ToUpper(tenantID) + "/oauth2/token",
		login + "/adfs/oauth2/token", "https://login.lanyard.test/" + tenantID + "/oauth2/v2.0/token", login + "/lanyard.test/oauth2/v2.0/token",
		"https://login.microsoftonline.com/" + tenantID + "/oauth2/v2.0/token", "https://sts.windows.net/" + tenantID + "/",
		"https://sts.example.org:8443/" + tenantID + "/v2.0",
	} {
		accepted["aud "+aud] = signedBy(t, key, ps256, claims("aud", aud))
	}
	for name, assertion := range accepted {
		p := w.post(tokenURL, assert(app.AppID, assertion))
		if p.status != http.StatusOK {
			t.Errorf("%s: %s", name, p.raw)
		} else if c := w.issued(p); c.AppIDACR != "2" {
			t.Errorf("%s: appidacr %s", name, c.AppIDACR)
		}
	}

	refusals := []struct {
		name, assertion string
		status, code    int
	}{
		{"another key", signedBy(t, oldKey, rs256, claims()), 401, 700027},
		{"unregistered certificate", signedBy(t, key, map[string]any{"alg": "RS256", "x5t": "AAAA"}, claims()), 401, 700027},
		{"chain of another key", signedBy(t, strangerKey, map[string]any{"alg": "RS256", "x5t": print1(strangerDER), "x5c": chain(strangerDER, der)}, claims()), 401, 700027},
		{"chain alone of another key", signedBy(t, strangerKey, map[string]any{"alg": "RS256", "x5c": chain(strangerDER)}, claims()), 401, 700027},
		{"another key under our thumbprint", signedBy(t, strangerKey, map[string]any{"alg": "RS256", "x5t": x5t, "x5c": chain(strangerDER)}, claims()), 401, 700027},
		{"broken thumbprint", signedBy(t, key, map[string]any{"alg": "RS256", "x5t": "!"}, claims()), 401, 700027},
		{"expired certificate", signedBy(t, oldKey, map[string]any{"alg": "RS256", "x5t": print1(oldDER)}, claims()), 401, 700027},
		{"another subject", signedBy(t, key, rs256, claims("sub", "else")), 401, 700021},
		{"another audience", signedBy(t, key, rs256, claims("aud", "https://else.example/"+tenantID+"/v2.0")), 401, 700023},
		{"another port", signedBy(t, key, rs256, claims("aud", "https://login.lanyard.test:9/"+tenantID+"/v2.0")), 401, 700023},
		{"another tenant", signedBy(t, key, rs256, claims("aud", login+"/"+model.NewUUID()+"/v2.0")), 401, 700023},
		{"expired", signedBy(t, key, rs256, claims("exp", now.Add(-time.Minute).Unix())), 401, 700024},
		{"no exp", signedBy(t, key, rs256, claims("exp", nil)), 401, 700024},
		{"another algorithm", signedBy(t, key, map[string]any{"alg": "ES256", "x5t": x5t}, claims()), 400, 5002730},
	}
	for _, tt := range refusals {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			oauth := "invalid_client"
			if tt.status == 400 {
				oauth = "invalid_request"
			}
			r := w.refused(w.post(tokenURL, assert(app.AppID, tt.assertion)), tt.status, oauth, tt.code)
			if r.Exchange.Method != "certificate" || len(r.Exchange.Differed) == 0 {
				t.Errorf("record %+v", r.Exchange)
			}
		})
	}
	narrowed := *app
	for name, c := range map[string]model.Certificate{
		"ended": {KeyID: "n", DER: der, Expires: now.Add(-time.Minute)}, "begins-later": {KeyID: "n", DER: der, Start: now.Add(time.Minute)},
	} {
		t.Run("registration-"+name, func(t *testing.T) {
			narrowed.Certificates = []model.Certificate{c}
			w.put(&narrowed)
			w.refused(w.post(tokenURL, assert(app.AppID, signedBy(t, key, rs256, claims()))), 401, "invalid_client", 700027)
		})
	}
	id := w.identity("id")
	w.refused(w.post(tokenURL, assert(id.ClientID, signedBy(t, key, rs256, claims("iss", id.ClientID, "sub", id.ClientID)))), 401, "invalid_client", 700027)
}

func print1(der []byte) string {
	sum := sha1.Sum(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// A certificate assertion that was made for Microsoft is not good here unless
// this server stands for Microsoft.
func TestMicrosoftsAudiencesNeedNamesMode(t *testing.T) {
	w := newWorld(t, func(n *names.Config, _ *sts.Config) { n.Discovery = true })
	now := time.Now()
	key, der := certificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	app := w.app("secret", now.Add(time.Hour))
	app.Certificates = []model.Certificate{{KeyID: "k", DER: der}}
	w.put(app)
	assertion := signedBy(t, key, map[string]any{"alg": "RS256", "x5t": print1(der)}, map[string]any{
		"aud": "https://login.microsoftonline.com/" + tenantID + "/oauth2/v2.0/token", "iss": app.AppID, "sub": app.AppID, "exp": now.Add(time.Minute).Unix(),
	})
	w.refused(w.post(tokenURL, assert(app.AppID, assertion)), 401, "invalid_client", 700023)
}
