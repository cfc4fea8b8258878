package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/lanyard-io/lanyard/internal/strictjson"
)

// Sizes of RSA keys in bits. Longer ones make each verification too dear.
const (
	minRSA = 2048
	maxRSA = 8192
)

// maxTries bounds the signature checks of one assertion when several keys
// share an id.
const maxTries = 4

// key is one public key of an issuer.
type key struct {
	id     string
	alg    string // the one algorithm that its issuer made it for; empty: any that fits
	public crypto.PublicKey
}

// keySet is what one document holds.
type keySet struct {
	keys   []key
	unused []unusedKey
}

// unusedKey is a key that verifies nothing here, kept so that a refusal can say
// why: it is there, and its issuer believes in it.
type unusedKey struct {
	id  string
	err error // its text is short, whatever the key holds
}

// foreign is a key that is no fault: it is for another purpose than signatures,
// or of a type that is not known here.
type foreign string

func (f foreign) Error() string { return string(f) }

var (
	errPrivate = errors.New("a private or symmetric key: publish and upload public keys only")
)

// ParseKeys checks a JWKS document against the limits, for upload, and counts
// its usable keys. Keys for other purposes and of unknown types are skipped; a
// private key, a weak or broken one, and a set without a usable key are errors.
func ParseKeys(jwks []byte, maxKeys int) (count int, err error) {
	set, err := readKeys(jwks, maxKeys)
	if err != nil {
		return 0, err
	}
	for _, u := range set.unused {
		if _, ok := errors.AsType[foreign](u.err); !ok {
			return 0, u.err
		}
	}
	switch {
	case len(set.keys) > 0:
		return len(set.keys), nil
	case len(set.unused) > 0:
		return 0, fmt.Errorf("the key set has no usable key: %w", set.unused[0].err)
	}
	return 0, errors.New("the key set has no usable key")
}

// readKeys reads a JWKS. A set without keys is valid: its issuer has withdrawn
// them all. https://www.rfc-editor.org/rfc/rfc7517#section-5
func readKeys(jwks []byte, maxKeys int) (*keySet, error) {
	object, err := strictjson.Object(string(jwks), maxDepth)
	if err != nil {
		return nil, fmt.Errorf("reading key set: %w", err)
	}
	array, ok := object["keys"].([]any)
	if !ok {
		return nil, errors.New(`reading key set: no array "keys"`)
	}
	if len(array) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, the limit is %d", len(array), maxKeys)
	}
	set := new(keySet)
	for n, v := range array {
		jwk, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("reading key set: key %d is not an object", n+1)
		}
		k, err := readKey(jwk)
		if err != nil {
			id, _ := jwk["kid"].(string)
			set.unused = append(set.unused, unusedKey{id, fmt.Errorf("key %d: %w", n+1, err)})
			continue
		}
		set.keys = append(set.keys, k)
	}
	return set, nil
}

// privateMembers are those of keys that are not public: from any of an RSA key's
// the others can be had. https://www.rfc-editor.org/rfc/rfc7518#section-6.3.2
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// readKey reads one JWK. https://www.rfc-editor.org/rfc/rfc7518#section-6
func readKey(jwk map[string]any) (key, error) {
	m := members{of: jwk}
	kty, use, ops := m.text("kty"), m.text("use"), m.texts("key_ops")
	k := key{id: m.text("kid"), alg: m.text("alg")}
	switch {
	case m.err != nil:
		return key{}, m.err
	case kty == "oct" || slices.ContainsFunc(privateMembers, func(name string) bool { return jwk[name] != nil }):
		return key{}, errPrivate
	case use != "" && use != "sig":
		return key{}, foreign("its use is " + quote(use) + ", not sig")
	case jwk["key_ops"] != nil && !slices.Contains(ops, "verify"):
		return key{}, foreign("verify is not among its key_ops")
	case k.alg != "" && !accepted(k.alg):
		return key{}, foreign("its algorithm " + quote(k.alg) + " is not accepted")
	}
	var err error
	switch kty {
	case "RSA":
		k.public, err = readRSA(&m)
	case "EC":
		k.public, err = readEC(&m)
	case "OKP":
		k.public, err = readEd25519(&m)
	default:
		err = foreign("its type " + quote(kty) + " is not accepted")
	}
	if err != nil {
		return key{}, err
	}
	if k.alg != "" && !k.fits(k.alg) {
		return key{}, fmt.Errorf("algorithm %s is not for a key of type %s", k.alg, kty)
	}
	return k, k.check()
}

func readRSA(m *members) (crypto.PublicKey, error) {
	n, e := m.bytes("n"), m.bytes("e")
	if m.err != nil {
		return nil, m.err
	}
	if len(e) > 4 {
		return nil, errors.New("RSA exponent is too large")
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}, nil
}

func readEC(m *members) (crypto.PublicKey, error) {
	var curve elliptic.Curve
	switch m.text("crv") {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return nil, foreignCurve(m)
	}
	x, y := m.bytes("x"), m.bytes("y")
	if m.err != nil {
		return nil, m.err
	}
	if len(x) != len(y) {
		return nil, errors.New("x and y differ in length")
	}
	// This checks lengths, and that the point is on the curve.
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, fmt.Errorf("reading point: %w", err)
	}
	return public, nil
}

func readEd25519(m *members) (crypto.PublicKey, error) {
	if m.text("crv") != "Ed25519" {
		return nil, foreignCurve(m)
	}
	x := m.bytes("x")
	return ed25519.PublicKey(x), m.err
}

func foreignCurve(m *members) error {
	return foreign("its curve " + quote(m.text("crv")) + " is not accepted")
}

// bytes reads a member in base64url; it must be there.
func (m *members) bytes(name string) []byte {
	b, err := decode(m.text(name))
	if err != nil || len(b) == 0 {
		m.fail(name, "not base64url")
	}
	return b
}

// check refuses keys of other types and weak ones.
func (k *key) check() error {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		if bits < minRSA || bits > maxRSA || public.N.Bit(0) == 0 {
			return fmt.Errorf("RSA key of %d bits, %d to %d are accepted", bits, minRSA, maxRSA)
		}
		if public.E < 3 || public.E > 1<<31-1 || public.E%2 == 0 {
			return errors.New("RSA exponent is not an odd number from 3 to 2^31-1")
		}
	case *ecdsa.PublicKey:
		if !slices.Contains([]string{"P-256", "P-384", "P-521"}, public.Curve.Params().Name) {
			return foreign("its curve is not accepted")
		}
	case ed25519.PublicKey:
		if len(public) != ed25519.PublicKeySize {
			return errors.New("Ed25519 key is not 32 bytes long")
		}
	default:
		return foreign("its type is not accepted")
	}
	return nil
}

// match finds the keys to try for an assertion. known says that looking for
// newer keys is of no use, because these answer: by key id where there is one,
// else by algorithm.
func (s *keySet) match(a *Assertion) (try []key, known bool) {
	for _, k := range s.keys {
		if a.KeyID != "" && k.id != a.KeyID {
			continue
		}
		known = known || a.KeyID != ""
		if k.fits(a.Alg) && len(try) < maxTries {
			try = append(try, k)
		}
	}
	return try, known || len(try) > 0
}

// why is the reason for which a key with this id is not used; nil: there is none.
func (s *keySet) why(id string) error {
	for _, u := range s.unused {
		if u.id == id {
			return u.err
		}
	}
	return nil
}

// choose is match, with a refusal when there is nothing to try.
func (s *keySet) choose(a *Assertion) ([]key, error) {
	try, known := s.match(a)
	if a.KeyID == "" {
		return s.chooseUnnamed(a, try)
	}
	switch why := s.why(a.KeyID); {
	case len(try) > 0:
		return try, nil
	case why != nil && !slices.ContainsFunc(s.keys, func(k key) bool { return k.id == a.KeyID }):
		return nil, refuse(UnusedKey, nil, "Key %s, which signed the assertion, is published by issuer %s, but cannot be used here: %v.", quote(a.KeyID), quote(a.Issuer), why)
	case known:
		return nil, refuse(Algorithm, nil, "The assertion is signed with %s, which key %s of issuer %s is not for.", a.Alg, quote(a.KeyID), quote(a.Issuer))
	}
	return nil, refuse(UnknownKey, nil, "Key %s, which signed the assertion, is not among the %d keys of issuer %s.", quote(a.KeyID), len(s.keys)+len(s.unused), quote(a.Issuer))
}

// chooseUnnamed is for an assertion without a key id: there must be one key to try.
func (s *keySet) chooseUnnamed(a *Assertion, try []key) ([]key, error) {
	switch {
	case len(try) == 1:
		return try, nil
	case len(try) > 1:
		return nil, refuse(UnknownKey, nil, "The assertion names no key (kid), and issuer %s has several for %s.", quote(a.Issuer), a.Alg)
	case len(s.unused) > 0:
		u := s.unused[0]
		return nil, refuse(UnusedKey, nil, "The assertion names no key (kid), and issuer %s has none for %s that can be used here; of %d that cannot, the first is %s: %v.",
			quote(a.Issuer), a.Alg, len(s.unused), quote(u.id), u.err)
	}
	return nil, refuse(UnknownKey, nil, "The assertion names no key (kid), and issuer %s has none for %s.", quote(a.Issuer), a.Alg)
}
