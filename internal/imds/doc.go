// Package imds answers as Azure's instance metadata service does for access
// tokens, in its own shape and in App Service's, so that unmodified SDKs find a
// managed identity where there is none. It owns that wire, the cache behind it,
// the exchange of a workload's token at an authority, and the sidecar's listeners on
// loopback. It serves no other metadata, but can pass such requests on.
package imds
