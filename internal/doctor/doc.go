// Package doctor finds out why a pod has no identity. It walks the chain from the
// pod's label to the vault's permission, one link after the other, names the
// first that is broken and says how to fix it. It changes nothing: it asks the
// cluster and the server what they have, has the cluster say what it would inject,
// and tries the exchange with a token that it never shows.
package doctor
