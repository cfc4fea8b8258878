// Package trusttest is a real OpenID issuer for tests: an HTTPS server on
// loopback that publishes discovery and keys, and signs what it is asked to,
// service-account tokens in the shape of kube-apiserver's included. It can be
// told to misbehave and counts who fetched what. It verifies nothing.
package trusttest
