// Package devissuer plays the part of kube-apiserver as an OpenID issuer, for the
// demo and for other people's tests: its tokens have the claims and its
// documents the shape of a real cluster's. It is not for production: its keys
// live and die with the process.
package devissuer
