// Package sts is the token service: Entra ID's wire for discovery, published keys and
// token requests, and the pages on which people sign in. It owns who may have a token,
// by which grant (table grants) and by which proof of the client (table proofs), and
// what the token says. It does not verify access tokens (package access does), fetch or
// judge foreign keys (trust), hold signing keys (signing), or let people in (signin).
package sts
