package audit

import (
	"encoding/json"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

// Record is one decision. It never holds a secret, a token or a signature.
type Record struct {
	Time        time.Time     `json:"time"`
	ID          string        `json:"id"`          // the request's id (trace id)
	Correlation string        `json:"correlation"` // the client's id for it
	Remote      string        `json:"remote,omitempty"`
	Action      string        `json:"action"`   // such as Microsoft.KeyVault/vaults/secrets/getSecret/action
	Resource    string        `json:"resource"` // ARM id, vault path or client id
	Granted     bool          `json:"granted"`
	Code        string        `json:"code,omitempty"` // the wire's code of a refusal: AADSTS700213, ForbiddenByPolicy
	Caller      *model.Caller `json:"caller,omitempty"`
	Exchange    *Exchange     `json:"exchange,omitempty"`
	// Changes are what a write did to stored objects, and Outcome how it ended. The
	// record of the decision to let it begin has the outcome Pending; a second one,
	// with the same id, says both.
	Changes []Change `json:"change,omitempty"`
	Outcome *Outcome `json:"outcome,omitempty"`
	// More is how many refusals, like the one that is described, have no record.
	More   int    `json:"more,omitempty"`
	Reason string `json:"reason,omitempty"` // a sentence: why granted or refused
	// Server is who recorded it. It is not in the files: whoever reads several
	// servers' fills it in.
	Server string `json:"server,omitempty"`
	// Told is the text of a record that another server gave, which may say more.
	Told json.RawMessage `json:"-"`
}

// Change is one stored object before and after a write: the fields that say who
// may do what, never a value. No Before: it was made; no After: it was deleted.
type Change struct {
	Object string            `json:"object"` // its resource id, or its key in the store
	Kind   string            `json:"kind"`
	Before map[string]string `json:"before,omitempty"`
	After  map[string]string `json:"after,omitempty"`
}

// Outcome is how a request ended.
type Outcome struct {
	Status int    `json:"status"`         // of the answer; 0: not known
	Code   string `json:"code,omitempty"` // the wire's code of an error, or Pending
}

// Pending is the code of an outcome that was not known yet. A request whose only
// record says so was cut off: whether it changed anything is not known.
const Pending = "Pending"

// Exchange is what a token request presented, and what was registered.
type Exchange struct {
	ClientID  string   `json:"clientId,omitempty"`
	Differed  []string `json:"differed,omitempty"` // of issuer, subject, audience, key, time, signature
	Issuer    string   `json:"issuer,omitempty"`
	Subject   string   `json:"subject,omitempty"`
	Audiences []string `json:"audiences,omitempty"`
	Method    string   `json:"method,omitempty"` // secret, certificate, federated
	KeyID     string   `json:"kid,omitempty"`
	Algorithm string   `json:"alg,omitempty"`
	Expires   string   `json:"exp,omitempty"` // RFC 3339
	NotBefore string   `json:"nbf,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	TokenID   string   `json:"uti,omitempty"`  // of the token that was issued
	Hint      string   `json:"hint,omitempty"` // the likely mend
	// Registered are the client's credentials as they were (at most 20).
	Registered []Registered `json:"registered,omitempty"`
}

// Registered is one federated credential of the client.
type Registered struct {
	Name       string `json:"name"`
	Issuer     string `json:"issuer"`
	Subject    string `json:"subject,omitempty"`
	Expression string `json:"expression,omitempty"`
	Audience   string `json:"audience"`
}
