// Package sdkenv is the environment that leads Azure's clients to a server of this
// machine and has them trust it: each runtime reads variables of its own. It prints
// nothing and changes no environment.
package sdkenv
