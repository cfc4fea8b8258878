// Package browser opens an installed browser that finds a server of this machine and
// trusts it, with a profile of its own. It checks the server's certificate itself, and
// has the browser accept that certificate's key and no other.
package browser
