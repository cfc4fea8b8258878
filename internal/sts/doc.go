// Package sts is the token service: Entra ID's wire for discovery, published
// keys and the client-credentials grant. It owns who may have a token and what
// the token says. It does not verify access tokens (package access does), fetch
// or judge foreign keys (trust), or hold signing keys (signing).
package sts
