// Package resid reads and prints Azure Resource Manager's resource ids. It owns
// their grammar, their canonical key and the questions who is whose parent and
// who lies below whom. It knows no resource type and does not ask whether anything exists.
package resid
