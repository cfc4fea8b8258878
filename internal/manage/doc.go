// Package manage is the one typed client of what a server manages: the paths, versions
// and bodies of groups, identities, federated credentials, vaults, policies, roles,
// issuers, clusters, applications and users, over Resource Manager and the directory.
// What it reads keeps the server's own text. An error about something that is not there
// says so in words, with the next thing to try.
//
// It knows no transport: internal/client signs in, sends, and reads errors. It prints
// nothing and decides nothing about flags.
package manage
