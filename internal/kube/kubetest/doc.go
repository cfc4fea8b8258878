// Package kubetest starts a real API server for tests: etcd and kube-apiserver
// on loopback, with certificates of their own. It starts no controllers and no
// node.
package kubetest
