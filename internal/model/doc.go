// Package model holds the nouns that Lanyard stores, and their rules: what a
// name may look like, where an object lives, how it is found, and how it is
// written down. It does no I/O and imports only the standard library.
package model
