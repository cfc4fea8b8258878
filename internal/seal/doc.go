// Package seal encrypts what Lanyard stores: secret values and private keys.
// Data keys live in a keyset; the keyset is wrapped by a key-encryption key, the KEK.
// A KEK is in a file that only the server's user can read.
//
// It stores nothing but that file: where the wrapped keyset and the sealed
// values are kept, and when keys are rotated, is for others to decide.
package seal
