// Package cluster puts the admission webhook into attached clusters and takes it
// out again, asks it in dry runs whether it answers, and serves it to those
// clusters that call the running server.
//
// It decides neither which cluster is to have it nor when to look again (package
// arm does), and not what a pod gets (package admission does).
package cluster
