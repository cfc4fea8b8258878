// Package shell writes what a shell reads: quoted words, and lines that set a variable
// and bring back what it was. It runs nothing.
package shell
