// Package table prints what a command shows, in each format that it may be asked for: a
// table for people, JSON and YAML for programs that read the whole, lines for a shell.
package table
