package sts_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/sts"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
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
				records, err := w.Gate.Find(t.Context(), p.TraceID)
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

// forged puts a token together from raw parts.
func forged(header, payload string, signature []byte) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(header)) + "." + enc([]byte(payload)) + "." + enc(signature)
}

// resigned changes a token's signature.
func resigned(t *testing.T, token string, change func([]byte) []byte) string {
	t.Helper()
	i := strings.LastIndexByte(token, '.') + 1
	sig, err := base64.RawURLEncoding.DecodeString(token[i:])
	check(t, err)
	return token[:i] + base64.RawURLEncoding.EncodeToString(change(sig))
}

// derOf is an ECDSA signature as ASN.1 has it, and JOSE has not.
func derOf(sig []byte) []byte {
	der, _ := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])})
	return der
}

// Every way to make a token of something that the issuer did not say, with the
// code that it gets. Nothing here makes the server ask anybody but the issuer.
func TestForgedAssertions(t *testing.T) {
	w := newWorld(t, nil)
	issuer, stranger := trusttest.New(t), trusttest.New(t)
	w.trusts(issuer)
	w.trusts(stranger)
	issuer.AddKey("ec", "ES256")
	id := w.identity("id", model.FederatedCredential{Issuer: issuer.URL, Subject: subject})
	kid, exp := issuer.KeyID(), time.Now().Add(time.Hour).Unix()

	base := func(changes map[string]any) map[string]any {
		all := map[string]any{"sub": subject, "aud": audience}
		maps.Copy(all, changes)
		return all
	}
	sign := func(changes map[string]any) string { return issuer.Sign(base(changes), trusttest.Options{}) }
	header := func(changes map[string]any) string {
		return issuer.Sign(base(nil), trusttest.Options{Header: changes})
	}
	raw := func(payload string) string {
		return issuer.Sign(nil, trusttest.Options{Payload: []byte(payload)})
	}
	good := sign(nil)
	payload := fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":%q,"exp":%d}`, issuer.URL, subject, audience, exp)
	elliptic := issuer.Sign(base(nil), trusttest.Options{KeyID: "ec"})
	hmacked := func(secret []byte) string {
		input := strings.TrimSuffix(forged(`{"alg":"HS256","kid":"`+kid+`"}`, payload, nil), ".")
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	public, err := x509.MarshalPKIXPublicKey(issuer.PublicKey(""))
	check(t, err)
	brought := func(name string, value any) string {
		return stranger.Sign(base(map[string]any{"iss": issuer.URL}), trusttest.Options{Header: map[string]any{"kid": kid, name: value}})
	}
	var strangers struct{ Keys []any }
	check(t, json.Unmarshal(stranger.JWKS(), &strangers))
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("api://%d", i)
	}

	const token, malformed, algorithm, badTime, key, signature = 0, 50027, 5002730, 700024, 7000272, 700027
	tests := []struct {
		name      string
		assertion string
		code      int
	}{
		{"as it is", good, token},
		{"white space around", " \t" + good + "\r\n", token},
		{"white space inside", strings.Replace(good, ".", ".\n", 1), malformed},

		{"none", forged(`{"alg":"none"}`, payload, nil), algorithm},
		{"NONE with a signature", forged(`{"alg":"NONE","kid":"`+kid+`"}`, payload, []byte("x")), algorithm},
		{"HMAC with the key's PEM", hmacked(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), algorithm},
		{"HMAC with the key's DER", hmacked(public), algorithm},
		{"HMAC with the key set", hmacked(issuer.JWKS()), algorithm},
		{"HMAC with nothing", hmacked(nil), algorithm},
		{"elliptic algorithm of an RSA key", header(map[string]any{"alg": "ES256"}), algorithm},
		{"PSS that is none", header(map[string]any{"alg": "PS256"}), algorithm},
		{"RSA algorithm of an elliptic key", issuer.Sign(base(nil), trusttest.Options{KeyID: "ec", Header: map[string]any{"alg": "RS256"}}), algorithm},
		{"elliptic", elliptic, token},
		{"elliptic in DER", resigned(t, elliptic, derOf), signature},
		{"elliptic cut short", resigned(t, elliptic, func(s []byte) []byte { return s[:63] }), signature},
		{"elliptic too long", resigned(t, elliptic, func(s []byte) []byte { return append(s, 0) }), signature},
		{"elliptic of zeros", resigned(t, elliptic, func([]byte) []byte { return make([]byte, 64) }), signature},
		{"no signature", good[:strings.LastIndexByte(good, '.')+1], signature},
		{"signed by a stranger", stranger.Sign(base(map[string]any{"iss": issuer.URL}), trusttest.Options{Header: map[string]any{"kid": kid}}), signature},

		{"crit", header(map[string]any{"crit": []string{"exp"}}), malformed},
		{"b64", header(map[string]any{"b64": false}), malformed},
		{"jku", header(map[string]any{"jku": stranger.URL + trusttest.KeysPath}), token},
		{"jwk", header(map[string]any{"jwk": map[string]any{"kty": "RSA"}}), token},
		{"x5u", header(map[string]any{"x5u": stranger.URL}), token},
		{"x5c", header(map[string]any{"x5c": []string{"AAAA"}}), token},
		{"stranger's jku", brought("jku", stranger.URL+trusttest.KeysPath), signature},
		{"stranger's jwk", brought("jwk", strangers.Keys[0]), signature},
		{"stranger's x5u", brought("x5u", stranger.URL), signature},
		{"key id that is a path", header(map[string]any{"kid": "../../../../dev/null"}), key},
		{"key id that is a URL", header(map[string]any{"kid": stranger.URL}), key},
		{"key id of 7 kB", header(map[string]any{"kid": strings.Repeat("k", 7<<10)}), key},
		{"key id of 40 kB", header(map[string]any{"kid": strings.Repeat("k", 40<<10)}), malformed},
		{"key id of a number", header(map[string]any{"kid": 1}), malformed},

		{"algorithm twice", forged(`{"alg":"RS256","alg":"none"}`, payload, nil), malformed},
		{"subject twice", raw(strings.Replace(payload, `"sub"`, `"sub":"x","sub"`, 1)), malformed},
		{"subject twice, once escaped", raw(strings.Replace(payload, `"sub"`, `"\u0073ub":"x","sub"`, 1)), malformed},
		{"expiry twice", raw(strings.Replace(payload, `"exp"`, `"exp":1,"exp"`, 1)), malformed},
		{"nested token", raw(`"` + good + `"`), malformed},
		{"encrypted", good + ".AAAA.AAAA", malformed},
		{"in JSON", `{"payload":"e30","protected":"e30","signature":"AA"}`, malformed},
		{"70 kB", sign(map[string]any{"x": strings.Repeat("x", 52<<10)}), malformed},

		{"audience of a number", sign(map[string]any{"aud": 7}), malformed},
		{"audience in an array in an array", sign(map[string]any{"aud": [][]string{{audience}}}), malformed},
		{"audience of an object", sign(map[string]any{"aud": map[string]any{"a": audience}}), malformed},
		{"audience among a thousand", sign(map[string]any{"aud": append(slices.Clone(many), audience)}), token},
		{"a thousand other audiences", sign(map[string]any{"aud": many}), 700212},
		{"audiences in one text", sign(map[string]any{"aud": audience + " api://else"}), 700212},
		{"audience with a blank", sign(map[string]any{"aud": audience + " "}), 700212},

		{"expiry of a float", sign(map[string]any{"exp": float64(exp) + .5}), token},
		{"expiry of a text", sign(map[string]any{"exp": fmt.Sprint(exp)}), badTime},
		{"expiry of 1e300", raw(strings.Replace(payload, fmt.Sprint(exp), "1e300", 1)), badTime},
		{"expiry of 1e999", raw(strings.Replace(payload, fmt.Sprint(exp), "1e999", 1)), badTime},
		{"expiry before 1970", sign(map[string]any{"exp": -exp}), badTime},
		{"expiry of true", sign(map[string]any{"exp": true}), badTime},
		{"expiry of null", sign(map[string]any{"exp": json.RawMessage("null")}), badTime},
		{"no expiry", sign(map[string]any{"exp": nil}), badTime},
		{"issued in 6 minutes", sign(map[string]any{"iat": time.Now().Add(6 * time.Minute).Unix()}), badTime},
		{"issued in 4 minutes", sign(map[string]any{"iat": time.Now().Add(4 * time.Minute).Unix()}), token},
		{"good in 6 minutes", sign(map[string]any{"nbf": time.Now().Add(6 * time.Minute).Unix()}), badTime},

		{"subject with a blank after it", sign(map[string]any{"sub": subject + " "}), 700213},
		{"subject with a blank before it", sign(map[string]any{"sub": " " + subject}), 700213},
		{"subject with a null after it", sign(map[string]any{"sub": subject + "\x00"}), 700213},
		{"subject with another alphabet's letter", sign(map[string]any{"sub": strings.Replace(subject, "a", "\u0430", 1)}), 700213},
		{"subject that begins alike", sign(map[string]any{"sub": subject + "-2"}), 700213},
		{"subject with a wildcard", sign(map[string]any{"sub": "system:serviceaccount:lab:*"}), 700213},
		{"subject of an array", sign(map[string]any{"sub": []string{subject}}), malformed},
	}
	for _, iss := range []string{
		issuer.URL + "/", strings.ToUpper(issuer.URL), strings.Replace(issuer.URL, "https", "HTTPS", 1), issuer.URL + ".", " " + issuer.URL,
		strings.Replace(issuer.URL, "//", "//user@", 1), strings.Replace(issuer.URL, "//", "//user:@", 1), issuer.URL + "?", issuer.URL + "#", issuer.URL + "/%2e",
		strings.Replace(issuer.URL, "127.0.0.1", "127.1", 1), strings.Replace(issuer.URL, "127.0.0.1", "127.0.0.\uff11", 1), strings.Replace(issuer.URL, "https", "http", 1),
	} {
		tests = append(tests, struct {
			name, assertion string
			code            int
		}{"issuer " + iss, sign(map[string]any{"iss": iss}), 700211})
	}
	for _, tt := range tests {
		t.Run(strings.NewReplacer(" ", "-", "/", "_").Replace(tt.name), func(t *testing.T) {
			p := w.post(tokenURL, assert(id.ClientID, tt.assertion))
			if tt.code == token {
				w.issued(p)
				return
			}
			status, oauth := http.StatusUnauthorized, "invalid_client"
			if tt.code == malformed || tt.code == algorithm {
				status, oauth = http.StatusBadRequest, "invalid_request"
			}
			w.refused(p, status, oauth, tt.code)
			if len(p.raw) > 4<<10 {
				t.Errorf("an answer of %d bytes", len(p.raw))
			}
		})
	}
	if n := stranger.Fetches(); n != (trusttest.Counts{}) {
		t.Errorf("the stranger saw %+v requests", n)
	}
	if n := issuer.Fetches(); n.Keys > 2 {
		t.Errorf("the issuer saw %+v requests", n)
	}
}

// A token of this server does not stand for anything but itself, even if
// somebody registered the server as a foreign issuer.
func TestOwnTokensAreNoAssertions(t *testing.T) {
	w := newWorld(t, func(n *names.Config, c *sts.Config) {
		n.Azure, n.Aliases, c.Audiences = true, []string{"login=sts.example.org"}, []string{audience}
	})
	issuer := trusttest.New(t)
	w.trusts(issuer)
	app := w.app("secret", time.Now().Add(time.Hour))
	u := w.user(aliceUPN, word)
	access := w.post(tokenURL, form("client_id", app.AppID, "client_secret", "secret", "scope", audience+"/.default")).Token
	alias := w.post("https://sts.example.org:8443/"+tenantID+"/oauth2/v2.0/token", form("client_id", app.AppID, "client_secret", "secret", "scope", audience+"/.default")).Token
	public := w.post("https://login.microsoftonline.com/"+tenantID+"/oauth2/v2.0/token", form("client_id", app.AppID, "client_secret", "secret", "scope", audience+"/.default")).Token
	signedIn := w.post(tokenURL, ropc(aliceUPN, word, "scope", audience+"/.default openid"))
	person, idToken := signedIn.Token, w.extra(signedIn).ID

	own := []string{login + "/" + tenantID + "/", login + "/" + tenantID + "/v2.0", "https://sts.windows.net/" + tenantID + "/", "https://sts.example.org:8443/" + tenantID + "/"}
	var credentials []model.FederatedCredential
	for _, iss := range own {
		w.put(&model.Issuer{URL: iss, Keys: w.keys.JWKS().Body})
		for _, sub := range []string{app.PrincipalID, u.ObjectID, app.AppID} {
			credentials = append(credentials, model.FederatedCredential{Issuer: iss, Subject: sub})
		}
		credentials = append(credentials, model.FederatedCredential{Issuer: iss, Audiences: []string{azCLI}, Matching: &model.Expression{Value: "claims['sub'] matches '*'", LanguageVersion: 1}})
	}
	target := w.identity("target", credentials...)
	for name, assertion := range map[string]string{"application": access, "alias": alias, "public-names": public, "user": person, "id-token": idToken} {
		t.Run(name, func(t *testing.T) {
			if assertion == "" {
				t.Fatal("no token to try with")
			}
			r := w.refused(w.post(tokenURL, assert(target.ClientID, assertion)), 400, "invalid_request", 700222)
			if !slices.Equal(r.Exchange.Differed, []string{"issuer"}) {
				t.Errorf("record %+v", r.Exchange)
			}
			w.refused(w.post(tokenURL, assert(app.AppID, assertion)), 400, "invalid_request", 700222)
		})
	}
}

// A certificate proves the application that it is registered with, and no other.
func TestCertificateOfAnotherClient(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now()
	key, der := certificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	otherKey, otherDER := certificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	mine, other := w.app("secret", now.Add(time.Hour)), w.app("secret", now.Add(time.Hour))
	mine.Certificates, other.Certificates = []model.Certificate{{KeyID: "k", DER: der}}, []model.Certificate{{KeyID: "k", DER: otherDER}}
	w.put(mine, other)
	claims := func(iss, sub string) map[string]any {
		return map[string]any{"aud": tokenURL, "iss": iss, "sub": sub, "exp": now.Add(time.Minute).Unix()}
	}
	header := map[string]any{"alg": "RS256", "x5t": print1(der)}
	otherHeader := map[string]any{"alg": "RS256", "x5t": print1(otherDER)}
	good := signedBy(t, key, header, claims(mine.AppID, mine.AppID))
	w.issued(w.post(tokenURL, assert(mine.AppID, good)))
	w.issued(w.post(tokenURL, assert(mine.AppID, good))) // az sends one again for each audience
	for name, tt := range map[string]struct {
		client, assertion string
		code              int
	}{
		"another's-assertion":   {other.AppID, good, 700211},
		"another's-certificate": {mine.AppID, signedBy(t, otherKey, otherHeader, claims(mine.AppID, mine.AppID)), 700027},
		"another's-key":         {mine.AppID, signedBy(t, otherKey, header, claims(mine.AppID, mine.AppID)), 700027},
		"another's-thumbprint":  {mine.AppID, signedBy(t, key, otherHeader, claims(mine.AppID, mine.AppID)), 700027},
		"another's-subject":     {mine.AppID, signedBy(t, key, header, claims(mine.AppID, other.AppID)), 700021},
		"both-named":            {other.AppID, signedBy(t, key, header, claims(other.AppID, other.AppID)), 700027},
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(w.post(tokenURL, assert(tt.client, tt.assertion)), 401, "invalid_client", tt.code)
		})
	}
}

// Parameters in the URL are no part of the request: URLs lie in logs.
func TestParametersInTheQueryDoNotCount(t *testing.T) {
	w := newWorld(t, nil)
	app := w.app("secret", time.Now().Add(time.Hour))
	w.refused(w.post(tokenURL+"?client_secret=secret", form("client_id", app.AppID)), 401, "invalid_client", 7000216)
	w.refused(w.post(tokenURL+"?"+form("client_id", app.AppID, "client_secret", "secret"), ""), 400, "invalid_request", 900144)
	p := w.post(tokenURL+"?scope=https%3A%2F%2Fgraph.lanyard.test%3A8443%2F.default&client_id=x", form("client_id", app.AppID, "client_secret", "secret"))
	if c := w.issued(p); c.Audience != vault || c.AppID != app.AppID {
		t.Errorf("claims %+v", c)
	}
}
