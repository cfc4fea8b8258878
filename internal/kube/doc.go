// Package kube speaks to a Kubernetes API server: it is the only package that
// knows client-go. It reads, applies and deletes objects as JSON, watches the
// annotations of service accounts, and asks the cluster to check tokens and
// permissions.
//
// It holds no typed clients (they would triple the program), keeps no
// kubeconfig, and decides nothing about identities.
package kube
