// Package signing owns the token service's own keys: it makes them, publishes
// them, rotates them by compare-and-swap, signs with the active one and
// verifies what it signed.
//
// Other people's keys are package trust's. What a token says, how long it lives
// and whether its time has come are for those who ask for a signature.
package signing
