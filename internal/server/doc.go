// Package server puts the parts together: it opens the store, the keys and the
// surfaces from one Config, listens, serves, and stops in the right order. It
// decides nothing about requests. cmd/lanyard and lanyardtest are its users.
package server
