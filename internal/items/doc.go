// Package items is the rules of a secret's life that both of its surfaces keep:
// the limits of what a request may set, and how a version is written. It owns
// neither the wire formats nor who may do what.
package items
