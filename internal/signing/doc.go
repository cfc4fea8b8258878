// Package signing owns the token service's own keys: it makes them, publishes
// them, rotates them by compare-and-swap, signs with the active one and
// verifies what it signed.
//
// Other people's keys are package trust's. The claims of a token, and its times, are the
// business of the package that asks for a signature.
package signing
