// Package pki makes the server's own certificate authority and the certificate
// of its listeners, or loads the operator's and reloads it when it changes. It
// also makes the bundles that clients trust.
//
// It stores nothing (the caller seals and keeps the authority's key), opens no
// listener, and reads no environment. It signs for nobody but the server itself.
package pki
