// Package items is the life of what vaults hold, as far as both surfaces that write
// it must agree: the limits of what a request may set, and how an item is found and
// written. Each kind has a file for its own part. The package owns neither the wire
// formats nor who may do what.
package items
