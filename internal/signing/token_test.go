package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

func TestSignAndVerify(t *testing.T) {
	k := newTestKeys(t)
	for _, alg := range []Alg{ES256, RS256} {
		token := mustSign(t, k, alg)
		for _, what := range []string{"first", "second, remembered"} {
			got, err := k.Verify(token)
			if err != nil || got != string(claims) {
				t.Errorf("%s, %s time: %q, %v", alg, what, got, err)
			}
		}
	}
	if _, err := k.Sign("HS256", claims); err == nil {
		t.Error("signed with an algorithm that is none of ours")
	}
	if _, err := k.Sign(ES256, make([]byte, maxToken)); err == nil {
		t.Error("signed a token too long to be accepted")
	}
}

// TestVerifyRefuses shows each mistake alone: everything else about the token
// is right, its signature included.
func TestVerifyRefuses(t *testing.T) {
	k := newTestKeys(t)
	es, rs := k.ring.Load().signers[ES256], k.ring.Load().signers[RS256]
	good := mustSign(t, k, ES256)
	parts := strings.Split(good, ".")
	head := func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	b64 := base64.RawURLEncoding.EncodeToString
	raw, _ := base64.RawURLEncoding.DecodeString(parts[2])

	for _, tt := range []struct{ name, token, want string }{
		{"empty", "", "three parts"},
		{"two-parts", parts[0] + "." + parts[1], "three parts"},
		{"four-parts", good + ".", "three parts"},
		{"no-header", "." + parts[1] + "." + parts[2], "not a JSON object"},
		{"no-signature", parts[0] + "." + parts[1] + ".", "signature is wrong"},
		{"padded", good + "==", "base64url"},
		{"line-break-in-header", parts[0][:4] + "\n" + good[4:], "base64url"},
		{"line-break-in-claims", parts[0] + ".\r" + parts[1] + "." + parts[2], "base64url"},
		{"line-break-at-the-end", good + "\n", "base64url"},
		{"standard-alphabet", parts[0] + "." + parts[1] + ".++//", "base64url"},
		{"space-before", " " + good, "base64url"},
		{"unused-bits", parts[0] + "." + parts[1] + "." + unusedBits(parts[2]), "base64url"},
		{"too-long", parts[0] + "." + strings.Repeat("A", maxToken) + "." + parts[2], "too long"},
		{"header-too-long", forge(t, es, head(`{"alg":"ES256","kid":%q,"pad":%q}`, es.id, strings.Repeat("x", maxHeader))), "header is too long"},
		{"header-no-object", forge(t, es, `["alg"]`), "not a JSON object"},
		{"header-and-more", forge(t, es, head(`{"alg":"ES256","kid":%q}{}`, es.id)), "not a JSON object"},
		{"header-cut", forge(t, es, head(`{"alg":"ES256","kid":%q`, es.id)), "not a JSON object"},
		{"name-twice", forge(t, es, head(`{"alg":"ES256","kid":"x","kid":%q}`, es.id)), "not a JSON object"},
		{"other-letter-case", forge(t, es, head(`{"ALG":"ES256","Kid":%q}`, es.id)), "algorithm is none of ours"},
		{"crit", forge(t, es, head(`{"alg":"ES256","kid":%q,"crit":["exp"]}`, es.id)), "critical"},
		{"crit-null", forge(t, es, head(`{"alg":"ES256","kid":%q,"crit":null}`, es.id)), "critical"},
		{"other-type", forge(t, es, head(`{"typ":"at+jwt","alg":"ES256","kid":%q}`, es.id)), "type is not JWT"},
		{"type-no-string", forge(t, es, head(`{"typ":1,"alg":"ES256","kid":%q}`, es.id)), "type is not JWT"},
		{"no-algorithm", forge(t, es, head(`{"kid":%q}`, es.id)), "algorithm is none of ours"},
		{"algorithm-none", forge(t, es, head(`{"alg":"none","kid":%q}`, es.id)), "algorithm is none of ours"},
		{"algorithm-none-unsigned", b64([]byte(head(`{"alg":"none","kid":%q}`, es.id))) + "." + parts[1] + ".", "algorithm is none of ours"},
		{"hmac-with-the-public-key", forgeHMAC(k, rs), "algorithm is none of ours"},
		{"other-keys-algorithm", forge(t, es, head(`{"alg":"RS256","kid":%q}`, es.id)), "not its key's"},
		{"other-keys-id", forge(t, es, head(`{"alg":"ES256","kid":%q}`, rs.id)), "not its key's"},
		{"no-key-id", forge(t, es, `{"alg":"ES256"}`), "names no key"},
		{"key-id-too-short", forge(t, es, `{"alg":"ES256","kid":"1"}`), "none of ours"},
		{"unknown-key-id", forge(t, es, head(`{"alg":"ES256","kid":%q}`, strings.Repeat("A", 43))), "no published key"},
		{"foreign-key", forgeForeign(t, es.id), "signature is wrong"},
		{"signature-cut", parts[0] + "." + parts[1] + "." + b64(raw[:63]), "signature is wrong"},
		{"signature-longer", parts[0] + "." + parts[1] + "." + b64(append([]byte{0}, raw...)), "signature is wrong"},
		{"signature-zero", parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)), "signature is wrong"},
		{"signature-in-asn1", forgeASN1(t, k, es), "signature is wrong"},
		{"other-claims", parts[0] + "." + b64([]byte(`{"sub":"admin"}`)) + "." + parts[2], "signature is wrong"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := k.Verify(tt.token)
			if claims != "" || apierr.KindOf(err) != apierr.Unauthenticated || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Verify = %q, %v; want %q", claims, err, tt.want)
			}
		})
	}
	if v := &k.ring.Load().verified; len(v.young)+len(v.old) != 0 {
		t.Error("a refused token is remembered as verified")
	}
	if _, err := k.Verify(good); err != nil {
		t.Errorf("the token that all were made from: %v", err)
	}
}

// TestVerifyTakesANewerHeader: a newer version may add members.
func TestVerifyTakesANewerHeader(t *testing.T) {
	k := newTestKeys(t)
	es := k.ring.Load().signers[ES256]
	for _, header := range []string{`{"kid":%q,"alg":"ES256"}`, `{"alg":"ES256","kid":%q,"typ":"JWT","new":{"a":[1]}}`} {
		if _, err := k.Verify(forge(t, es, fmt.Sprintf(header, es.id))); err != nil {
			t.Errorf("header %s: %v", header, err)
		}
	}
}

func TestVerifyRefusesEveryChange(t *testing.T) {
	k := newTestKeys(t)
	good := mustSign(t, k, ES256)
	for i := range good {
		changed := []byte(good)
		changed[i] ^= 1
		if _, err := k.Verify(string(changed)); err == nil {
			t.Errorf("accepted with character %d changed", i)
		}
	}
}

// TestUnknownKeyIDsAskTheStoreOncePerSecond counts the looks at the store by
// the records that they leave.
func TestUnknownKeyIDsAskTheStoreOncePerSecond(t *testing.T) {
	k, clock := newTestKeysAndClock(t)
	es := k.ring.Load().signers[ES256]
	looks := map[*refresh]bool{}
	ask := func() {
		t.Helper()
		kid := base64.RawURLEncoding.EncodeToString(randomBytes(sha256.Size))
		if _, err := k.Verify(forge(t, es, fmt.Sprintf(`{"alg":"ES256","kid":%q}`, kid))); apierr.KindOf(err) != apierr.Unauthenticated {
			t.Fatalf("Verify: %v", err)
		}
		looks[k.refreshed] = true
	}
	for range 100 {
		ask()
	}
	clock.set(day0.Add(refreshEvery - 1))
	ask()
	if len(looks) != 1 {
		t.Errorf("%d looks in the first second, want 1", len(looks))
	}
	clock.set(day0.Add(refreshEvery))
	ask()
	if len(looks) != 2 {
		t.Errorf("%d looks after a second, want 2", len(looks))
	}
	clock.set(day0.Add(-time.Hour))
	ask()
	if len(looks) != 3 {
		t.Errorf("%d looks after the clock was set back, want 3", len(looks))
	}
}

func TestVerifiedIsBounded(t *testing.T) {
	var v verified
	keep := [sha256.Size]byte{0xff}
	k := &proven{}
	v.add(keep, k)
	for i := range 3 * maxVerified {
		v.add([sha256.Size]byte{byte(i), byte(i >> 8), byte(i >> 16)}, k)
		if n := len(v.young) + len(v.old); n > maxVerified {
			t.Fatalf("%d tokens remembered, want at most %d", n, maxVerified)
		}
		if i%1000 == 0 && v.find(keep) != k {
			t.Fatalf("a token in use was forgotten after %d others", i)
		}
	}
	if v.find([sha256.Size]byte{1, 2, 3, 4}) != nil {
		t.Error("found what was never added")
	}
}

func FuzzParse(f *testing.F) {
	b64 := base64.RawURLEncoding.EncodeToString
	for _, header := range []string{
		`{"typ":"JWT","alg":"ES256","kid":"AA","x5t":"AA"}`, `{"alg":"RS256","kid":"é","crit":[]}`, `{"alg":null,"alg":{"a":[]}}`, `[`, `{"a":`,
	} {
		f.Add(b64([]byte(header)) + "." + b64(claims) + "." + b64(make([]byte, 64)))
	}
	f.Add("..")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		got, err := parse(token)
		if err != nil {
			if apierr.KindOf(err) != apierr.Unauthenticated {
				t.Errorf("parse(%q): %v, want unauthenticated", token, err)
			}
			return
		}
		head, _, _ := strings.Cut(token, ".")
		if again := head + "." + b64(got.claims) + "." + b64(got.signature); again != token {
			t.Errorf("parse(%q) is not the one form of %q", token, again)
		}
	})
}

// forge signs a token with a header of the caller's choice.
func forge(t testing.TB, k *key, header string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(header)) + "." + b64(claims)
	digest := sha256.Sum256([]byte(input))
	signature, err := k.sign(digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(signature)
}

// forgeForeign signs with a key of the attacker, and sends the key along.
func forgeForeign(t testing.TB, kid string) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	j, err := newJWK(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	header := fmt.Sprintf(`{"alg":"ES256","kid":%q,"jwk":{"kty":"EC","crv":"P-256","x":%q,"y":%q},"jku":"https://example.org/keys"}`, kid, j.X, j.Y)
	return forge(t, &key{public: &private.PublicKey, private: private}, header)
}

func forgeHMAC(k *Keys, rs *key) string {
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64(fmt.Appendf(nil, `{"alg":"HS256","kid":%q}`, rs.id)) + "." + b64(claims)
	for _, s := range k.Status() {
		if s.ID == rs.id {
			mac := hmac.New(sha256.New, s.Public)
			mac.Write([]byte(input))
			return input + "." + b64(mac.Sum(nil))
		}
	}
	return ""
}

func forgeASN1(t testing.TB, k *Keys, es *key) string {
	t.Helper()
	token := mustSign(t, k, ES256)
	input := token[:strings.LastIndexByte(token, '.')]
	digest := sha256.Sum256([]byte(input))
	signature, err := es.private.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// unusedBits sets a bit of the last character that decoding throws away.
func unusedBits(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last|1])
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func BenchmarkSignES256(b *testing.B)       { benchmarkSign(b, ES256) }
func BenchmarkSignRS256(b *testing.B)       { benchmarkSign(b, RS256) }
func BenchmarkVerifyColdES256(b *testing.B) { benchmarkVerifyCold(b, ES256) }
func BenchmarkVerifyColdRS256(b *testing.B) { benchmarkVerifyCold(b, RS256) }

func benchmarkSign(b *testing.B, alg Alg) {
	k, claims := newTestKeys(b), benchmarkClaims()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Sign(alg, claims); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkVerifyCold(b *testing.B, alg Alg) {
	k := newTestKeys(b)
	token, err := k.Sign(alg, benchmarkClaims())
	if err != nil {
		b.Fatal(err)
	}
	v := &k.ring.Load().verified
	b.ReportAllocs()
	for b.Loop() {
		clear(v.young)
		if _, err := k.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCached(b *testing.B) {
	k := newTestKeys(b)
	token, err := k.Sign(ES256, benchmarkClaims())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBare is what the others are measured against: the crypto alone.
func BenchmarkBare(b *testing.B) {
	es, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256(benchmarkClaims())
	esSignature, _ := ecdsa.SignASN1(rand.Reader, es, digest[:])
	rsSignature, _ := rsa.SignPKCS1v15(nil, rs, crypto.SHA256, digest[:])
	for _, bm := range []struct {
		name string
		run  func()
	}{
		{"SignES256", func() { ecdsa.SignASN1(rand.Reader, es, digest[:]) }},
		{"SignRS256", func() { rsa.SignPKCS1v15(nil, rs, crypto.SHA256, digest[:]) }},
		{"VerifyES256", func() { ecdsa.VerifyASN1(&es.PublicKey, digest[:], esSignature) }},
		{"VerifyRS256", func() { rsa.VerifyPKCS1v15(&rs.PublicKey, crypto.SHA256, digest[:], rsSignature) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.run()
			}
		})
	}
}

// benchmarkClaims is as long as an access token's claims.
func benchmarkClaims() []byte {
	return fmt.Appendf(nil, `{"aud":"https://vault.lanyard.localhost","sub":%q}`, strings.Repeat("x", 750))
}
