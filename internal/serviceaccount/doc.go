// Package serviceaccount makes all that lets a service account of a cluster stand for a
// managed identity, in phases: the identity, the account with its annotations, the
// federated credential and a role. What is there already is left alone, and what was
// made can be taken away again. It prints nothing.
package serviceaccount
