// Package arm is the Resource Manager surface: resource groups, managed
// identities and their federated credentials, vaults, attached clusters, roles,
// and the discovery that clients begin with. The front (front.go) does what
// every type needs; a type is one row of a table (table.go), in the file of its
// provider.
//
// It stores and checks. It signs in nobody (package access verifies tokens), serves no
// secret (package vault does), and asks no cluster: package cluster does, through the
// interface Clusters.
package arm
