// Package vault speaks the data plane of Azure Key Vault for secrets: values
// with versions and attributes, soft delete, backup. It owns the wire format,
// Key Vault's error catalogue and the rules of a secret's life.
//
// It does not create vaults (package arm does), decide who may do what (package
// access does), verify tokens, or serve keys and certificates.
// https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
package vault
