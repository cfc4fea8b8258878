// Package access is the one gate: it decides whether a caller may do an action
// on a resource, and writes the audit record of the decision. Nothing is
// allowed that is not recorded.
//
// It owns the built-in roles, the matching of actions and scopes, the meaning
// of a vault's access policies, and the verification of our own access tokens.
// It does not store assignments or policies, and words no vendor's errors.
package access
