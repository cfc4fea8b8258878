// Package machine gives this machine a managed identity for one run. It plays a platform
// with workload identity: it makes a key, lets the identity trust that key's word, and
// exchanges what it signs. It owns what is made for that on the server, and takes it back.
// The endpoint itself is internal/imds.
package machine
