// Package settings fills in the flags that a command line left open: from the
// environment, then from a YAML file. It says which of them set nothing. command.go
// says which flags of a command may be set so.
package settings
