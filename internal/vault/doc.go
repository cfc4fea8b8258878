// Package vault speaks the data plane of Azure Key Vault. It owns the wire format,
// Key Vault's error catalogue and the life of what a vault holds: versions with
// attributes, soft delete, recovery, backup. That life is the same for every kind;
// today there are secrets.
//
// Every operation is a row of the table, and the gate is in front of all. The package
// does not create vaults (package arm does), decide who may do what (package access
// does), or verify tokens.
// https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
package vault
