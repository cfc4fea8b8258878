package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Object is a noun that the store keeps.
type Object interface {
	// Kind names the type in stored JSON.
	Kind() Kind
	// Key is where the object lives: the lower-cased ARM id, or a path of ours.
	// It is a pure function of the object's own fields.
	Key() string
	// Index lists the other names it is found by, each "index/value". Two
	// objects may share one.
	Index() []string
}

// Kind is the type of a stored object.
type Kind string

// Version is the format of stored JSON. A reader accepts every version up to
// this one; a store with a newer one is refused at start.
const Version = 1

// kinds makes an empty object of each kind. A new type adds its row here.
var kinds = map[Kind]func() Object{
	"Instance":            func() Object { return &Instance{} },
	"Keyset":              func() Object { return &Keyset{} },
	"SigningKeys":         func() Object { return &SigningKeys{} },
	"CA":                  func() Object { return &CA{} },
	"Issuer":              func() Object { return &Issuer{} },
	"User":                func() Object { return &User{} },
	"SignIns":             func() Object { return &SignIns{} },
	"Session":             func() Object { return &Session{} },
	"AuthCode":            func() Object { return &AuthCode{} },
	"DeviceCode":          func() Object { return &DeviceCode{} },
	"Server":              func() Object { return &Server{} },
	"Application":         func() Object { return &Application{} },
	"ResourceGroup":       func() Object { return &ResourceGroup{} },
	"Identity":            func() Object { return &Identity{} },
	"FederatedCredential": func() Object { return &FederatedCredential{} },
	"RoleAssignment":      func() Object { return &RoleAssignment{} },
	"Vault":               func() Object { return &Vault{} },
	"Secret":              func() Object { return &Item{ItemKind: Secrets} },
	"SecretVersion":       func() Object { return &ItemVersion{ItemKind: Secrets} },
	"VaultName":           func() Object { return &VaultName{} },
	"UniqueName":          func() Object { return &UniqueName{} },
	"Registration":        func() Object { return &Registration{} },
	"Cluster":             func() Object { return &Cluster{} },
	"ClusterState":        func() Object { return &ClusterState{} },
	"IdentityBinding":     func() Object { return &IdentityBinding{} },
}

// envelope is stored JSON: the version and kind, then the object's own fields.
type envelope struct {
	V    int             `json:"v"`
	Kind Kind            `json:"kind"`
	Data json.RawMessage `json:"data"`
}

// Encode writes an object as versioned JSON.
func Encode(o Object) ([]byte, error) {
	if kinds[o.Kind()] == nil {
		return nil, fmt.Errorf("an object of kind %q, which no program could read", o.Kind())
	}
	data, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", o.Kind(), err)
	}
	// What json.Marshal of an envelope gives, without reading data again.
	b := make([]byte, 0, len(data)+64)
	b = append(b, opening...)
	b = append(b, o.Kind()...)
	b = append(b, `","data":`...)
	b = append(b, data...)
	return append(b, '}'), nil
}

// opening is how Encode begins, up to the kind.
var opening = fmt.Sprintf(`{"v":%d,"kind":"`, Version)

// split takes apart what Encode wrote, at half the cost of parsing an envelope.
// Whoever reads Data finds out whether it really was that.
func split(b []byte) (e envelope, ok bool) {
	rest, ok := bytes.CutPrefix(b, []byte(opening))
	if !ok || len(rest) == 0 || rest[len(rest)-1] != '}' {
		return e, false
	}
	kind, data, ok := bytes.Cut(rest[:len(rest)-1], []byte(`","data":`))
	return envelope{V: Version, Kind: Kind(kind), Data: data}, ok
}

// Decode reads what Encode wrote, in this version or an older one.
func Decode(b []byte) (Object, error) {
	if e, ok := split(b); ok {
		if newObject, ok := kinds[e.Kind]; ok {
			if o := newObject(); json.Unmarshal(e.Data, o) == nil {
				return o, nil
			}
		}
	}
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("decoding stored object: %w", err)
	}
	if e.V > Version {
		return nil, fmt.Errorf("stored object has version %d, this program knows %d: %w", e.V, Version, ErrNewer)
	}
	make, ok := kinds[e.Kind]
	if !ok {
		return nil, fmt.Errorf("stored object has kind %q, which this program does not know: %w", e.Kind, ErrNewer)
	}
	o := make()
	if err := json.Unmarshal(e.Data, o); err != nil {
		return nil, fmt.Errorf("decoding stored %s: %w", e.Kind, err)
	}
	return o, nil
}

// ErrNewer is in the chain of Decode's error when a newer program wrote the object.
var ErrNewer = fmt.Errorf("written by a newer version of lanyard")

// Resource is what every ARM resource has. ID keeps the spelling of the first
// PUT; Key is its lower case.
type Resource struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Location string            `json:"location,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	System   System            `json:"system"`
}

// System says who wrote a resource, and when.
type System struct {
	CreatedBy      string    `json:"createdBy,omitempty"`     // object id
	CreatedByType  string    `json:"createdByType,omitempty"` // User, Application or ManagedIdentity
	CreatedAt      time.Time `json:"createdAt"`
	ModifiedBy     string    `json:"modifiedBy,omitempty"`
	ModifiedByType string    `json:"modifiedByType,omitempty"`
	ModifiedAt     time.Time `json:"modifiedAt"`
}

// Kinds are all kinds of objects that a store may hold, in order.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kinds)) }
