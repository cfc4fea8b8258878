// Package demo shows the whole chain on one machine in seconds: a real server, a
// cluster's issuer played as kube-apiserver does it, and the sample workload in
// a process of its own. It is the program's first page, not a test double.
package demo
