// Package signin lets people in: by name and password, by a refresh token, and by what
// their browser remembers. It owns the lock-out after failures, the sessions that a
// sign-in leaves behind, and when they end.
//
// It knows no wire. A Refusal has a reason, for which package sts has the code and the
// words; pages, grants and authorization codes are there too. It does not make or list
// users (package graph does), and hashes no passwords itself (package password does).
package signin
