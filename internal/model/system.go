package model

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Keys of the objects of which there is one.
const (
	InstanceKey    = "/system/instance"
	KeysetKey      = "/system/keyset"
	SigningKeysKey = "/system/signing"
	CAKey          = "/system/ca"
	WebhookCAKey   = "/system/ca/webhook"
)

// Instance says whose store this is. A server with another domain refuses it.
type Instance struct {
	Domain         string    `json:"domain"` // the public address, without its port
	TenantID       string    `json:"tenantId"`
	SubscriptionID string    `json:"subscriptionId"`
	Created        time.Time `json:"created"`
}

// StoreID tells this store from all others, those of the same tenant among them:
// 32 letters and digits. A restored snapshot or a copy has the same.
func (i *Instance) StoreID() string {
	sum := sha256.Sum256([]byte(i.TenantID + "\n" + i.SubscriptionID + "\n" + i.Created.UTC().Format(time.RFC3339Nano)))
	return hex.EncodeToString(sum[:16])
}

// Kind implements Object.
func (*Instance) Kind() Kind { return "Instance" }

// Key implements Object.
func (*Instance) Key() string { return InstanceKey }

// Index implements Object.
func (*Instance) Index() []string { return nil }

// Keyset is the data keys of package seal, wrapped by the key-encryption key.
type Keyset struct {
	Wrapped []byte `json:"wrapped"`
}

// Kind implements Object.
func (*Keyset) Kind() Kind { return "Keyset" }

// Key implements Object.
func (*Keyset) Key() string { return KeysetKey }

// Index implements Object.
func (*Keyset) Index() []string { return nil }

// CA is a certificate authority of the server's own: the one that clients trust,
// or the one that API servers trust for their webhook. Its private key is sealed.
type CA struct {
	Webhook     bool     `json:"webhook,omitempty"`  // it is the latter
	Certificate []byte   `json:"certificate"`        // DER
	SealedKey   Sealed   `json:"sealedKey"`          // PKCS#8, sealed under Key
	Previous    [][]byte `json:"previous,omitempty"` // DER; still in the bundle that clients trust
}

// Kind implements Object.
func (*CA) Kind() Kind { return "CA" }

// Key implements Object.
func (c *CA) Key() string {
	if c.Webhook {
		return WebhookCAKey
	}
	return CAKey
}

// Index implements Object.
func (*CA) Index() []string { return nil }

// SigningKeys is all of the token service's own keys. It is one object, so that
// one compare-and-swap rotates.
type SigningKeys struct {
	Keys []SigningKey `json:"keys"`
}

// SigningKey is one key pair and its life: published from Created (prepared),
// signing from Active, published until Retired plus one token lifetime.
type SigningKey struct {
	ID        string    `json:"id"`     // kid
	Algorithm string    `json:"alg"`    // RS256 or ES256
	Public    []byte    `json:"public"` // PKIX
	Sealed    Sealed    `json:"sealed"` // PKCS#8, sealed under SigningKeysKey and the kid
	Created   time.Time `json:"created"`
	Active    time.Time `json:"active"`  // zero: prepared
	Retired   time.Time `json:"retired"` // zero: not yet
}

// SealName is the associated data of a key's private part: no key's can be put
// in another's place.
func (k *SigningKey) SealName() string { return SigningKeysKey + "/" + k.ID }

// Kind implements Object.
func (*SigningKeys) Kind() Kind { return "SigningKeys" }

// Key implements Object.
func (*SigningKeys) Key() string { return SigningKeysKey }

// Index implements Object.
func (*SigningKeys) Index() []string { return nil }
