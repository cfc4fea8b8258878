// Package redirect sends what the processes of one network namespace ask of the
// cloud's metadata address to a port on loopback instead. It owns one nftables
// table and nothing else, and asks the kernel directly: no program is run.
package redirect
