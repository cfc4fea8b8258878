// Package azcli has the Azure CLI of a person use a Lanyard server, and brings back what
// was before: a cloud of the CLI's own, its settings and the sign-in. It runs the CLI
// and reads what that says; only the chosen subscription is read from the CLI's files.
package azcli
