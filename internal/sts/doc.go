// Package sts is the token service: Entra ID's wire for discovery and published keys,
// the grants of workloads and of people (client credentials, password, code, device
// code, refresh token), and the pages on which people sign in. It owns who may have a
// token and what the token says. It does not verify access tokens (package access does), fetch
// or judge foreign keys (trust), or hold signing keys (signing).
package sts
