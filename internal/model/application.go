package model

import (
	"encoding/hex"
	"strings"
	"time"
)

// Application is an app registration with its service principal: a client that
// signs in with a secret, a certificate or a federated credential.
type Application struct {
	AppID    string `json:"appId"`    // client id
	ObjectID string `json:"objectId"` // of the application
	// PrincipalID is its service principal's object id: what roles and policies
	// name. While it is empty there is none, and nobody signs in as the application.
	PrincipalID string `json:"principalId"`
	Name        string `json:"name"`
	// UniqueName is another key for it, which whoever makes it may choose; it never changes.
	UniqueName   string        `json:"uniqueName,omitempty"`
	Disabled     bool          `json:"disabled,omitempty"`
	Secrets      []AppSecret   `json:"secrets,omitempty"`
	Certificates []Certificate `json:"certificates,omitempty"`
	// PublicRedirects and WebRedirects are where people who signed in for the
	// application are sent. Behind a web one, the application proves itself.
	PublicRedirects []string `json:"publicRedirects,omitempty"`
	WebRedirects    []string `json:"webRedirects,omitempty"`
	// Tags and PrincipalTags are words that clients put on it and on its service principal.
	Tags          []string `json:"tags,omitempty"`
	PrincipalTags []string `json:"principalTags,omitempty"`
	// Public lets it sign people in without proving itself: device code, password.
	Public  bool      `json:"public,omitempty"`
	Created time.Time `json:"created"`
}

// AppSecret is a client secret. The secret itself is random with at least 160
// bits, so a plain hash of it is enough; it is not stored.
type AppSecret struct {
	KeyID   string    `json:"keyId"`
	SHA256  []byte    `json:"sha256"`
	Hint    string    `json:"hint"` // its first three characters
	Name    string    `json:"name,omitempty"`
	Start   time.Time `json:"start"`
	Expires time.Time `json:"expires"`
}

// Certificate is a client certificate that may sign assertions.
type Certificate struct {
	KeyID string `json:"keyId"`
	DER   []byte `json:"der"`
	Name  string `json:"name,omitempty"`
	// Start and Expires narrow the certificate's own validity; zero does not.
	Start   time.Time `json:"start,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
}

// Kind implements Object.
func (*Application) Kind() Kind { return "Application" }

// ApplicationsKey is the prefix of all applications, with their federated credentials.
const ApplicationsKey = "/applications/"

// ApplicationKey is where the application with a client id lives.
func ApplicationKey(appID string) string { return ApplicationsKey + strings.ToLower(appID) }

// ApplicationIndex finds the Application with this object id.
func ApplicationIndex(objectID string) string { return "app/" + strings.ToLower(objectID) }

// Key implements Object.
func (a *Application) Key() string { return ApplicationKey(a.AppID) }

// Index implements Object. Without a service principal the application is no
// client, so the client id does not find it.
func (a *Application) Index() []string {
	index := []string{ApplicationIndex(a.ObjectID), NameIndex(a.Name)}
	if a.PrincipalID != "" {
		index = append(index, ClientIndex(a.AppID), PrincipalIndex(a.PrincipalID))
	}
	if a.UniqueName != "" {
		index = append(index, UniqueNameIndex(a.UniqueName))
	}
	return index
}

// UniqueName reserves an application's unique name.
type UniqueName struct {
	Name  string `json:"name"`
	AppID string `json:"appId"`
}

// UniqueNameIndex finds the Application with this unique name.
func UniqueNameIndex(name string) string { return "uniquename/" + strings.ToLower(name) }

// UniqueNameKey is where a unique name is reserved. The name may have any character.
func UniqueNameKey(name string) string {
	return "/uniquenames/" + hex.EncodeToString([]byte(strings.ToLower(name)))
}

// Kind implements Object.
func (*UniqueName) Kind() Kind { return "UniqueName" }

// Key implements Object.
func (n *UniqueName) Key() string { return UniqueNameKey(n.Name) }

// Index implements Object.
func (*UniqueName) Index() []string { return nil }
