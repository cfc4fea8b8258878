// Package lanyardtest runs a whole Lanyard server inside a Go test, so that code
// which uses Azure's SDKs can be tested against the real protocols: no
// subscription, no container, no option that switches a check off.
//
// New starts a server on loopback and stops it when the test ends. A test makes
// identities, vaults and secrets with the helpers here or with the Azure SDKs;
// Issuer plays a Kubernetes cluster whose service accounts can be trusted.
package lanyardtest
