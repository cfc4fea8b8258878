// Package arm is the Resource Manager surface: resource groups, managed
// identities and their federated credentials, vaults, attached clusters, roles,
// and the discovery that clients begin with. The front (front.go) does what
// every type needs; a type is one row of a table (table.go), in the file of its
// provider. Run keeps the keys of attached clusters fresh (clusters.go).
//
// It stores and checks; it signs in nobody (package access verifies tokens),
// serves no secret (package vault does). It decides what an attached cluster is to
// have, and asks package cluster, through Webhooks, to do it.
package arm
