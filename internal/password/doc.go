// Package password keeps people's passwords: which ones are good enough, how
// they are hashed, and that hashing never takes more than its share of memory.
// It does not know users, does not store anything, and counts no attempts.
package password
