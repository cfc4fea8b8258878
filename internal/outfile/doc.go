// Package outfile writes the files that a person names: whole or not at all, and
// only where a file is or can be. It does not know what is in them.
package outfile
