// Package imds answers as Azure's instance metadata service does for access
// tokens, in its own shape and in App Service's, so that unmodified SDKs find a
// managed identity where there is none. It owns that wire, the cache behind it
// and the exchange of a workload's token at an authority. It opens no listener,
// and serves no other metadata.
package imds
