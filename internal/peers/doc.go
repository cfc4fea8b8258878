// Package peers lets the servers of one store find each other, and asks the others
// what they have recorded.
//
// Each server writes where it is reached into the store, and takes it away when it
// ends; an entry that is not renewed is not asked. What is asked is asked with the
// caller's own token, so each server decides for itself, over TLS for our own
// management host, so that only who has our certificate hears the token. It records
// nothing and decides nothing.
package peers
