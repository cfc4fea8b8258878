// Package settings fills in the flags that a command line left open: from the
// environment, then from a YAML file. It says which of them set nothing. Which flags may
// be set so is the command line's to say.
package settings
