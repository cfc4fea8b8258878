// Package trail reads what was decided from all servers of a store, and follows it as it
// is recorded. Each record is given once, whoever's clock is ahead. It prints nothing.
package trail
