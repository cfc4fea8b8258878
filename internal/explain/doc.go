// Package explain words the records of the audit log for a person: on one line, or with
// what was presented beside what is registered, and what differs. It finds no record and
// decides nothing.
package explain
