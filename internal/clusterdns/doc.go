// Package clusterdns makes vaults' names resolve inside a Kubernetes cluster by
// the cluster's own DNS: it keeps the EndpointSlices of a headless Service like
// the vaults in the store, each vault's name as the hostname of an endpoint.
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
//
// It makes no Service, answers no DNS question, and touches only slices of
// its own store.
package clusterdns
