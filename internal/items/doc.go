// Package items is the life of what vaults hold, as far as both surfaces that write
// it must agree: the limits of what a request may set, and how an item is found and
// written. What differs between kinds is in a file for each kind. It owns neither
// the wire formats nor who may do what.
package items
