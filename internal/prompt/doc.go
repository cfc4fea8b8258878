// Package prompt reads what a person gives a command: a secret's value or a password,
// from a file, standard input or, at a terminal, an answer that is not shown. It is never
// an argument: those are in the list of processes and in the shell's history.
//
// It says what is wrong with a value, and keeps none.
package prompt
