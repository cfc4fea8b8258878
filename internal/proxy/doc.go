// Package proxy is the loopback CONNECT proxy that makes the server's names
// reachable without DNS: a tunnel to one of our own hosts ends at our own
// listener, and every other request is refused.
//
// It never resolves a name, never opens a connection to anything but the
// server, and never looks inside a tunnel: TLS, and the check of the name that
// was asked, are the server's.
package proxy
