// Package arm is the Resource Manager surface: resource groups, managed
// identities and their federated credentials, vaults, attached clusters, roles,
// and the discovery that clients begin with. The front (front.go) does what
// every type needs; a type is one row of a table (table.go), in the file of its
// provider. Run keeps the keys of attached clusters fresh (clusters.go).
//
// It stores and checks; it signs in nobody (package access verifies tokens),
// serves no secret (package vault does), and changes nothing in a cluster.
package arm
