package model

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"time"
)

// User is a person with a local account.
type User struct {
	ObjectID string `json:"objectId"`
	// UPN is the user principal name, alice@lanyard.localhost: what one signs in
	// with. It is unique in any letter case, and never changes.
	UPN      string `json:"upn"`
	Name     string `json:"name"`
	Nickname string `json:"nickname,omitempty"` // mailNickname
	Disabled bool   `json:"disabled,omitempty"`
	// Password is the Argon2id hash, with its parameters, sealed under PasswordName.
	Password Sealed `json:"password,omitempty"`
	// MustChange asks for a new password at the next sign-in.
	MustChange bool      `json:"mustChange,omitempty"`
	Changed    time.Time `json:"changed"` // the password
	// Stamp is in all that a sign-in leaves behind; when it changes, all of that ends.
	Stamp   string    `json:"stamp"`
	Created time.Time `json:"created"`
}

// UsersKey is the prefix of all users.
const UsersKey = "/users/"

// UserKey is where the user with a principal name lives.
func UserKey(upn string) string { return UsersKey + strings.ToLower(upn) }

// Kind implements Object.
func (*User) Kind() Kind { return "User" }

// Key implements Object.
func (u *User) Key() string { return UserKey(u.UPN) }

// Index implements Object.
func (u *User) Index() []string { return []string{PrincipalIndex(u.ObjectID)} }

// PasswordName is the associated data of a user's sealed password hash. The
// object id is in it: a successor of the same name has another.
func (u *User) PasswordName() string { return u.Key() + "/password/" + u.ObjectID }

const maxUPN = 113 // https://learn.microsoft.com/graph/api/resources/user

var upnForm = regexp.MustCompile(`^[A-Za-z0-9'._!#^~+-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// ValidUPN says whether a text can be a user principal name.
func ValidUPN(s string) bool { return len(s) <= maxUPN && upnForm.MatchString(s) }

// PersonKey is the prefix of what a user's sign-ins leave behind; it goes with the user.
func PersonKey(objectID string) string { return "/people/" + strings.ToLower(objectID) + "/" }

// SignIns counts the failed sign-ins of one user, apart from the User: who
// guesses passwords must not change the user's revision.
type SignIns struct {
	Owner    string    `json:"owner"` // object id, or a number that stands for unknown names
	Failures int       `json:"failures"`
	Refused  int       `json:"refused,omitempty"` // attempts while it was locked
	Last     time.Time `json:"last"`
	Locked   time.Time `json:"locked,omitzero"` // until then no password is good
}

// SignInsKey is where a user's failed sign-ins are counted.
func SignInsKey(owner string) string { return PersonKey(owner) + "signins" }

// Kind implements Object.
func (*SignIns) Kind() Kind { return "SignIns" }

// Key implements Object.
func (s *SignIns) Key() string { return SignInsKey(s.Owner) }

// Index implements Object.
func (*SignIns) Index() []string { return nil }

// Session is what one sign-in goes on from: a family of refresh tokens, each of
// which replaces the one before, or a browser's cookie.
type Session struct {
	ID       string    `json:"id"`                 // TokenID of the secret's first part
	UserID   string    `json:"userId"`             // object id
	ClientID string    `json:"clientId"`           // the only client that may use it; empty for a browser
	Stamp    string    `json:"stamp"`              // the user's, at the sign-in
	Proven   bool      `json:"proven,omitempty"`   // the client must prove itself
	Method   string    `json:"method,omitempty"`   // how the user signed in
	SHA256   []byte    `json:"sha256"`             // of the current secret
	Previous []byte    `json:"previous,omitempty"` // of the one before
	Rotated  time.Time `json:"rotated,omitzero"`
	Created  time.Time `json:"created"`
	Used     time.Time `json:"used"`
	Expires  time.Time `json:"expires"`
}

// SessionsKey is the prefix of a user's sessions.
func SessionsKey(userID string) string { return PersonKey(userID) + "sessions/" }

// SessionIndex finds a session by its id.
func SessionIndex(id string) string { return "session/" + id }

// Kind implements Object.
func (*Session) Kind() Kind { return "Session" }

// Key implements Object.
func (s *Session) Key() string { return SessionsKey(s.UserID) + s.ID }

// Index implements Object.
func (s *Session) Index() []string { return []string{SessionIndex(s.ID)} }

// AuthCode is an authorization code, until it expires: one that was used stays,
// so that its second use is seen.
// https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2
type AuthCode struct {
	ID        string    `json:"id"` // TokenID of the code
	UserID    string    `json:"userId"`
	Stamp     string    `json:"stamp"`
	ClientID  string    `json:"clientId"`
	Proven    bool      `json:"proven,omitempty"` // the client must prove itself
	Redirect  string    `json:"redirect"`
	Challenge string    `json:"challenge,omitempty"` // S256
	Scope     string    `json:"scope"`
	Nonce     string    `json:"nonce,omitempty"`
	Expires   time.Time `json:"expires"`
	Used      bool      `json:"used,omitempty"`
	SessionID string    `json:"sessionId,omitempty"` // that its use began
}

// AuthCodesKey is the prefix of a user's authorization codes.
func AuthCodesKey(userID string) string { return PersonKey(userID) + "codes/" }

// AuthCodeIndex finds an authorization code by its id.
func AuthCodeIndex(id string) string { return "authcode/" + id }

// Kind implements Object.
func (*AuthCode) Kind() Kind { return "AuthCode" }

// Key implements Object.
func (c *AuthCode) Key() string { return AuthCodesKey(c.UserID) + c.ID }

// Index implements Object.
func (c *AuthCode) Index() []string { return []string{AuthCodeIndex(c.ID)} }

// DeviceCode is a sign-in that another device asked for.
// https://www.rfc-editor.org/rfc/rfc8628
type DeviceCode struct {
	ID       string    `json:"id"`       // TokenID of the device code
	UserCode string    `json:"userCode"` // what the person types
	ClientID string    `json:"clientId"`
	Scope    string    `json:"scope"`
	Remote   string    `json:"remote,omitempty"` // address that asked
	Expires  time.Time `json:"expires"`
	Declined bool      `json:"declined,omitempty"`
	UserID   string    `json:"userId,omitempty"` // who approved it
	Stamp    string    `json:"stamp,omitempty"`
}

// DeviceCodesKey is the prefix of all device codes.
const DeviceCodesKey = "/devicecodes/"

// DeviceCodeKey is where the device code with an id lives.
func DeviceCodeKey(id string) string { return DeviceCodesKey + id }

// UserCodeIndex finds the device code that a person typed the code of.
func UserCodeIndex(code string) string { return "usercode/" + code }

// Kind implements Object.
func (*DeviceCode) Kind() Kind { return "DeviceCode" }

// Key implements Object.
func (c *DeviceCode) Key() string { return DeviceCodeKey(c.ID) }

// Index implements Object.
func (c *DeviceCode) Index() []string { return []string{UserCodeIndex(c.UserCode)} }

// TokenID is the id of a random token: what is stored of it, and finds it. The
// token has at least 128 bits, so a plain hash does not give it away.
func TokenID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:16])
}
